/** nodemailer, which sends to us. */
import { readFileSync } from 'node:fs'
import nodemailer from 'nodemailer'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

async function send({ host, port, from, to, tls }: Errand, message: object) {
  const secure = tls && { secure: tls.by === 'implicit', requireTLS: true, tls: { ca: readFileSync(tls.authority) } }
  const where = { host, port, name: 'nodemailer.client.example' }
  const transport = nodemailer.createTransport({ ...where, ...(secure ?? { ignoreTLS: true }) })
  const { response } = await transport.sendMail({ envelope: { from, to: [to] }, ...message })
  transport.close()
  return { status: 0, out: response, err: '' }
}

testClient({
  name: 'nodemailer',
  sends: TEXTS,
  tls: ['starttls', 'implicit'],
  send: errand => send(errand, { raw: errand.content }),
  attaches: errand =>
    send(errand, {
      from: errand.from,
      to: errand.to,
      subject: errand.token,
      attachments: [{ filename: 'binary', content: errand.content }],
    }),
})
