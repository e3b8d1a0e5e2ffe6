/** curl, which sends to us. */
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

const envelope = ({ host, port, from, to, tls, login }: Errand): readonly string[] => [
  '-sS',
  `${tls?.by === 'implicit' ? 'smtps' : 'smtp'}://${host.includes(':') ? `[${host}]` : host}:${port}/curl.client.example`,
  ...(tls ? ['--ssl-reqd', '--cacert', tls.authority] : []),
  ...(login ? ['--user', `${login.user}:${login.password}`, '--login-options', `AUTH=${login.by}`] : []),
  '--mail-from',
  from,
  '--mail-rcpt',
  to,
]

testClient({
  name: 'curl',
  needs: { commands: ['curl'] },
  sends: TEXTS,
  tls: ['starttls', 'implicit'],
  // For NTLM it makes of each octet a character.
  logins: { PLAIN: 'utf8', LOGIN: 'utf8', NTLM: 'ascii' },
  send: errand => run('curl', [...envelope(errand), '-T', errand.file]),
  attaches: errand =>
    run('curl', [
      ...envelope(errand),
      '-H',
      `Subject: ${errand.token}`,
      '-F',
      `file=@${errand.file};type=application/octet-stream;encoder=base64`,
    ]),
})
