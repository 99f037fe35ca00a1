// Runs oidc-provider on loopback: the first line of input is its settings, later lines are things to do.
// It ends with its input.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

import { interact } from './interaction.mjs';
import { Storage } from './storage.mjs';

const DAY = 24 * 60 * 60;
const SCOPES = ['openid', 'offline_access', 'email', 'read', 'write'];

function registered(settings) {
  return new Map(settings.clients.map(({ id, secret, method }) => [id, {
    client_id: id,
    ...(secret && { client_secret: secret }),
    token_endpoint_auth_method: method,
    grant_types: ['authorization_code', 'refresh_token', ...(secret ? ['client_credentials'] : [])],
    redirect_uris: [`${settings.url}/registered-first`],
    response_types: ['code'],
    id_token_signed_response_alg: 'ES256',
  }]));
}

function configuration(settings, storage) {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return {
    adapter: (model) => storage.adapter(model),
    jwks: { keys: [{ ...key, use: 'sig', alg: 'ES256', kid: 'one' }] },
    cookies: { keys: [randomUUID()] },
    clockTolerance: 0,
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    scopes: SCOPES,
    claims: { openid: ['sub'], email: ['email'] },
    pkce: { required: () => true },
    rotateRefreshToken: settings.rotates,
    issueRefreshToken: async (context, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.test` }) }),
    interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
    ttl: {
      AccessToken: settings.accessSeconds,
      ClientCredentials: settings.accessSeconds,
      RefreshToken: settings.refreshSeconds,
      AuthorizationCode: 60,
      IdToken: 3600,
      Grant: DAY,
      Session: DAY,
      Interaction: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      introspection: { enabled: true },
      clientCredentials: { enabled: true },
    },
  };
}

async function answerResource(provider, request, response) {
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const found = token && ((await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token)));
  response.setHeader('Content-Type', 'application/json');
  if (found) {
    response.end(JSON.stringify({ owner: found.accountId ?? `client:${found.clientId}`, scope: found.scope ?? '' }));
  } else {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end('{"error":"invalid_token"}');
  }
}

const handlers = [['/interaction/', interact], ['/resource', answerResource]];

async function listen(settings, storage) {
  const provider = new Provider(settings.url, configuration(settings, storage));
  const answerProtocol = provider.callback();
  const server = createServer((request, response) => {
    const own = handlers.find(([path]) => request.url.startsWith(path))?.[1];
    if (own === undefined) return answerProtocol(request, response);
    return own(provider, request, response).catch((error) => response.writeHead(400).end(String(error)));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

let storage = null;

async function obey(line) {
  if (storage === null) {
    storage = new Storage(registered(line));
    return { port: await listen(line, storage) };
  }
  if (line.redirect) storage.allow(line.redirect);
  else if (line.withdraw) storage.withdraw(line.withdraw);
  else throw new Error('the line does not say what to do');
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await obey(JSON.parse(line)).catch((error) => ({ failed: `${error.name}: ${error.message}` }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
