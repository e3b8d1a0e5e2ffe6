/** msmtp, which sends to us. */
import { peer } from '../../tools/peers.ts'
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { testClient } from './clients.ts'

testClient({
  name: 'msmtp',
  needs: { peers: ['msmtp'] },
  sends: TEXTS,
  tls: ['starttls', 'implicit'],
  // Of NTLM it knows what came before version 2, which we refuse.
  logins: { PLAIN: 'utf8', LOGIN: 'utf8', 'SCRAM-SHA-256': 'utf8' },
  send: ({ host, port, from, to, content, tls, login }) => {
    const { command, env } = peer('msmtp')
    const where = [`--host=${host}`, `--port=${port}`, '--domain=msmtp.client.example']
    const secure = tls
      ? ['--tls=on', `--tls-starttls=${tls.by === 'starttls' ? 'on' : 'off'}`, `--tls-trust-file=${tls.authority}`]
      : ['--tls=off']
    // It is called as sendmail is, and takes the line ends of files.
    const input = Buffer.from(content.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
    const known = login
      ? [`--auth=${login.by.toLowerCase()}`, `--user=${login.user}`, '--passwordeval=printenv MSMTP_PASSWORD']
      : ['--auth=off']
    return run(command, ['--file=/dev/null', ...where, ...secure, ...known, `--from=${from}`, to], {
      env: { ...env, MSMTP_PASSWORD: login?.password },
      input,
    })
  },
})
