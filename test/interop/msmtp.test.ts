/** msmtp, which sends to us. */
import { peer } from '../../tools/peers.ts'
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { testClient } from './clients.ts'

testClient({
  name: 'msmtp',
  needs: { peers: ['msmtp'] },
  sends: TEXTS,
  send: ({ host, port, from, to, content }) => {
    const { command, env } = peer('msmtp')
    const where = [`--host=${host}`, `--port=${port}`, '--domain=msmtp.client.example', '--auth=off', '--tls=off']
    // It is called as sendmail is, and takes the line ends of files.
    const input = Buffer.from(content.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
    return run(command, ['--file=/dev/null', ...where, `--from=${from}`, to], { env, input })
  },
})
