"""Runs an OAuth 1.0a provider of Authlib and Flask: HMAC-SHA1, RSA-SHA1 and PLAINTEXT, all in memory."""

import threading
from typing import Any

from authlib.integrations.flask_oauth1 import AuthorizationServer, ResourceProtector, current_credential
from authlib.oauth1 import ClientMixin, TemporaryCredential, TokenCredentialMixin
from authlib.oauth1.errors import OAuth1Error
from flask import Flask, Response, jsonify, render_template_string, request
from lines import Settings, read_settings, serve

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Allow access</title><h1>Allow access</h1><form method="post" action="/authorize">
<input type="hidden" name="oauth_token" value="{{ token }}"><label>Name <input name="username" required></label>
<button name="deny" value="1" formnovalidate>Cancel</button> <button name="allow" value="1">Allow</button></form></html>"""


class Client(ClientMixin):
    """The one application that is registered."""

    def __init__(self, given: Settings) -> None:
        self.id, self._secret = given["client"]
        self._public_key = given["rsa_public_key"]
        self.redirects = [f"{given['url']}/registered-first"]

    def get_client_secret(self) -> str:
        return str(self._secret)

    def get_rsa_public_key(self) -> str:
        return str(self._public_key)

    def get_default_redirect_uri(self) -> str:
        return self.redirects[-1]


class Token(TokenCredentialMixin):
    """A token credential of one user."""

    def __init__(self, token: str, secret: str, user: str) -> None:
        self._token, self._secret, self.user = token, secret, user

    def get_oauth_token(self) -> str:
        return self._token

    def get_oauth_token_secret(self) -> str:
        return self._secret


class Memory:
    """What the provider knows, and the hooks through which Authlib asks for it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.temporary: dict[str, TemporaryCredential] = {}
        self.tokens: dict[str, Token] = {}
        self._nonces: set[tuple[str, ...]] = set()
        self._turn = threading.Lock()

    def query_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.id else None

    def query_token(self, client_id: str, oauth_token: str) -> Token | None:
        return self.tokens.get(oauth_token)

    def exists_nonce(self, nonce: str, timestamp: str, client_id: str, token: str | None) -> bool:
        used = (nonce, str(timestamp), client_id, token or "")
        with self._turn:
            known = used in self._nonces
            self._nonces.add(used)
        return known

    def create_temporary_credential(self, token: dict[str, str], client_id: str, callback: str) -> TemporaryCredential:
        credential = TemporaryCredential({**token, "client_id": client_id, "oauth_callback": callback})
        self.temporary[token["oauth_token"]] = credential
        return credential

    def get_temporary_credential(self, oauth_token: str) -> TemporaryCredential | None:
        return self.temporary.get(oauth_token)

    def delete_temporary_credential(self, oauth_token: str) -> None:
        self.temporary.pop(oauth_token, None)

    def create_authorization_verifier(self, credential: TemporaryCredential, user: str, verifier: str) -> None:
        credential.update(oauth_verifier=verifier, user_id=user)

    def create_token_credential(self, token: dict[str, str], credential: TemporaryCredential) -> Token:
        made = Token(token["oauth_token"], token["oauth_token_secret"], credential.get_user_id())
        self.tokens[made.get_oauth_token()] = made
        return made

    def obey(self, line: Settings) -> None:
        if uri := line.get("redirect"):
            self.client.redirects.append(uri)
        if user := line.get("withdraw"):
            self.tokens = {name: token for name, token in self.tokens.items() if token.user != user}


def build(memory: Memory) -> Flask:
    app = Flask("oauth1")
    app.config["OAUTH1_SUPPORTED_SIGNATURE_METHODS"] = ["HMAC-SHA1", "RSA-SHA1", "PLAINTEXT"]
    server = AuthorizationServer(app, query_client=memory.query_client)
    for name in server._hooks:
        server.register_hook(name, getattr(memory, name))
    protector = ResourceProtector(app, memory.query_client, memory.query_token, memory.exists_nonce)

    @app.post("/initiate")
    def initiate() -> Any:
        try:
            callback = server.create_oauth1_request(None).redirect_uri
        except OAuth1Error as error:
            return server.handle_error_response(error)
        registered = (
            callback.partition("?")[0] if callback else None
        )  # what is asked of it may differ from time to time
        if registered and registered != "oob" and registered not in memory.client.redirects:
            return Response("error=callback_rejected", 400, content_type="application/x-www-form-urlencoded")
        return server.create_temporary_credentials_response()

    @app.get("/authorize")
    def ask() -> str | tuple[str, int]:
        try:
            return render_template_string(_PAGE, token=server.check_authorization_request().token)
        except OAuth1Error as error:
            return f"{error.error}: {error.description}", 400

    @app.post("/authorize")
    def answer() -> Any:
        return server.create_authorization_response(
            grant_user=request.form["username"] if "allow" in request.form else None
        )

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.route("/resource", methods=["GET", "POST"])
    @protector()
    def resource() -> Any:
        return jsonify(owner=current_credential.user)

    return app


given = read_settings()
memory = Memory(Client(given))
serve(build(memory), memory.obey)
