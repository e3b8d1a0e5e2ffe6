/** swaks, which sends to us. */
import { writeFileSync } from 'node:fs'
import { peer } from '../../tools/peers.ts'
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

function swaks({ family, host, port, from, to, tls, login }: Errand, args: readonly string[]) {
  const { command, env } = peer('swaks')
  const where = [
    family === 'v4' ? '-4' : '-6',
    '--server',
    host,
    '--port',
    String(port),
    '--helo',
    'swaks.client.example',
  ]
  const secure = tls && [
    tls.by === 'starttls' ? '--tls' : '--tls-on-connect',
    '--tls-verify',
    '--tls-ca-path',
    tls.authority,
  ]
  const known = login && ['--auth', login.by, '--auth-user', login.user, '--auth-password', login.password]
  return run(
    command,
    [...where, ...(secure ?? []), ...(known ?? []), '--from', from, '--to', to, '--hide-all', ...args],
    { env },
  )
}

testClient({
  name: 'swaks',
  needs: { peers: ['swaks'] },
  // A last line of a lone dot it takes for the end of the data it is given.
  sends: TEXTS.filter(kind => kind !== 'a dot at the end'),
  tls: ['starttls', 'implicit'],
  logins: { PLAIN: 'utf8', LOGIN: 'utf8' },
  send: errand => {
    // Behind what it is given it puts a line end of its own.
    writeFileSync(errand.file, errand.content.subarray(0, -'\r\n'.length))
    return swaks(errand, ['--data', `@${errand.file}`])
  },
  attaches: errand =>
    swaks(errand, [
      '--header',
      `Subject: ${errand.token}`,
      '--attach-type',
      'application/octet-stream',
      '--attach',
      `@${errand.file}`,
    ]),
})
