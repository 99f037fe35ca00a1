// Login and consent as two plain forms: any name logs in, and consent grants what was asked for.

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text) => String(text).replace(/[&<>"]/g, (character) => escapes[character]);

const page = (title, content) => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1>
<form method="post">${content}</form></html>`;

const loginPage = () =>
  page('Log in', '<label>Name <input name="username" required></label> <button>Log in</button>');

const consentPage = ({ client_id: client, scope = '' }) =>
  page(
    'Allow access',
    `<p>${escaped(client)} asks for: ${escaped(scope)}</p>
<button name="deny" value="1">Cancel</button> <button name="allow" value="1">Allow</button>`,
  );

async function submitted(request) {
  let body = '';
  for await (const part of request) body += part;
  return new URLSearchParams(body);
}

async function grant(provider, { grantId, params, prompt, session }) {
  const given = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) given.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) given.addOIDCClaims(missingOIDCClaims);
  return given.save();
}

export async function interact(provider, request, response) {
  const details = await provider.interactionDetails(request, response);
  const login = details.prompt.name === 'login';
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(login ? loginPage() : consentPage(details.params));
    return;
  }
  const form = await submitted(request);
  const result = form.has('deny')
    ? { error: 'access_denied', error_description: 'The user said no' }
    : login
      ? { login: { accountId: form.get('username') } }
      : { consent: { grantId: await grant(provider, details) } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: !form.has('deny') });
}
