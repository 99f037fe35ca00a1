// Keeps the provider's records in memory, all of them; a user may withdraw what they granted.

export class Storage {
  constructor(clients) {
    this.clients = clients;
    this.records = new Map();
    this.granted = new Map();
  }

  adapter(model) {
    const { clients, records, granted } = this;
    const key = (id) => `${model}:${id}`;
    const where = (holds) =>
      [...records.values()].find((record) => record.model === model && holds(record.payload))?.payload;
    return {
      async upsert(id, payload) {
        records.set(key(id), { model, payload });
        if (payload.grantId) {
          if (!granted.has(payload.grantId)) granted.set(payload.grantId, new Set());
          granted.get(payload.grantId).add(key(id));
        }
      },
      async find(id) {
        return model === 'Client' ? clients.get(id) : records.get(key(id))?.payload;
      },
      async findByUid(uid) {
        return where((payload) => payload.uid === uid);
      },
      async findByUserCode(code) {
        return where((payload) => payload.userCode === code);
      },
      async destroy(id) {
        const grantId = records.get(key(id))?.payload.grantId;
        granted.get(grantId)?.delete(key(id));
        records.delete(key(id));
      },
      async consume(id) {
        const record = records.get(key(id));
        if (record) record.payload.consumed = Math.floor(Date.now() / 1000);
      },
      async revokeByGrantId(grantId) {
        for (const found of granted.get(grantId) ?? []) records.delete(found);
        granted.delete(grantId);
      },
    };
  }

  allow(redirect) {
    for (const [id, client] of this.clients) {
      this.clients.set(id, { ...client, redirect_uris: [...client.redirect_uris, redirect] });
    }
  }

  withdraw(user) {
    for (const [key, { payload }] of this.records) {
      if (payload.accountId === user) this.records.delete(key);
    }
  }
}
