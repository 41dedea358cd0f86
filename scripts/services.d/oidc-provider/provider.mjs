// An OpenID provider for tests: node provider.mjs PORT
//
// Whoever signs in as NAME, with any password, is NAME@example.org. The clients convoke (confidential, may introspect) and
// convoke-page (public, PKCE) get opaque access tokens, convoke-page-jwt gets JWTs for the audience convoke-calendar.
//
// What tests may change while it runs, by POST:
//   /control/rotate-keys                        a new signing key; the one before stays in the JWKS, older ones go
//   /control/forget-old-keys                    only the current key stays in the JWKS
//   /control/lifetimes?access_token=2&id_token=60   seconds, for tokens made from now on
//   /control/backchannel-logout?uri=http://…    where logouts of the public clients are told; none when empty
//   /control/reset                              lifetimes and logout address as in the beginning

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const calendar = `${issuer}/calendar`;
const usual = { access_token: 3600, id_token: 3600 };

let lifetimes = { ...usual };
let logoutAddress;
let keys = [newKey()];
let answer = build();

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

function client(client_id, more) {
  return {
    client_id,
    redirect_uris: ['http://127.0.0.1:9/callback'],
    post_logout_redirect_uris: ['http://127.0.0.1:9/bye'],
    grant_types: ['authorization_code', 'refresh_token'],
    ...more,
  };
}

// Keys and clients are fixed for the life of a Provider, so a change of them is a new one. Tokens and sessions are kept by
// oidc-provider outside of it.
function build() {
  const page = {
    token_endpoint_auth_method: 'none',
    ...(logoutAddress && { backchannel_logout_uri: logoutAddress, backchannel_logout_session_required: true }),
  };
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      client('convoke', { client_secret: 'convoke-secret' }),
      client('convoke-page', page),
      client('convoke-page-jwt', page),
    ],
    cookies: { keys: ['a key for tests'] },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'locale', 'zoneinfo'],
    },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => claimsOf(sub) }),
    extraTokenClaims: (_, token) => ({ email: claimsOf(token.accountId).email }),
    ttl: {
      AccessToken: () => lifetimes.access_token,
      IdToken: () => lifetimes.id_token,
      AuthorizationCode: 60,
      Grant: 3600,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
    },
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.client.clientId === 'convoke-page-jwt' ? calendar : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'openid email profile offline_access',
          audience: 'convoke-calendar',
          accessTokenTTL: lifetimes.access_token,
          accessTokenFormat: 'jwt',
        }),
      },
    },
  });
  return provider.callback();
}

function claimsOf(sub) {
  return {
    sub,
    email: `${sub}@example.org`,
    email_verified: true,
    name: sub,
    preferred_username: sub,
    locale: sub === 'bob' ? 'fr' : 'en',
    zoneinfo: 'Europe/Paris',
  };
}

const controls = {
  'rotate-keys': () => { keys = [newKey(), keys[0]]; },
  'forget-old-keys': () => { keys = [keys[0]]; },
  lifetimes: (query) => {
    for (const [what, seconds] of query) lifetimes[what] = Number(seconds);
  },
  'backchannel-logout': (query) => { logoutAddress = query.get('uri') || undefined; },
  reset: () => {
    lifetimes = { ...usual };
    logoutAddress = undefined;
  },
};

createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (!url.pathname.startsWith('/control/')) return answer(request, response);
  const control = controls[url.pathname.slice('/control/'.length)];
  if (request.method !== 'POST' || !control) return response.writeHead(404).end();
  control(url.searchParams);
  answer = build();
  return response.writeHead(204).end();
}).listen(port, '127.0.0.1');
