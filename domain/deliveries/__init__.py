"""What a project is told of its connections: signed messages to its webhook, tried until they arrive or are given up."""
