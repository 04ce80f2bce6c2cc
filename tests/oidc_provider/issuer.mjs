// An OIDC issuer that nobody of Daypass wrote, on a free port of this machine, until its standard input ends.
// Whoever signs in as `carol` is carol@example.com; the first line that it prints is its URL.
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [{
      client_id: 'daypass',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    }],
    claims: { email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'email', 'groups'],
    conformIdTokenClaims: false,
    features: { deviceFlow: { enabled: true }, revocation: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: ['sre', 'oncall'] }),
    }),
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
  });
  server.on('request', provider.callback());
  console.log(url);
});
process.stdin.on('end', () => process.exit()).resume();
