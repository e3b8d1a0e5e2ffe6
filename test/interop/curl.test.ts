/** curl, which sends to us. */
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

const envelope = ({ host, port, from, to }: Errand): readonly string[] => [
  '-sS',
  `smtp://${host.includes(':') ? `[${host}]` : host}:${port}/curl.client.example`,
  '--mail-from',
  from,
  '--mail-rcpt',
  to,
]

testClient({
  name: 'curl',
  needs: { commands: ['curl'] },
  sends: TEXTS,
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
