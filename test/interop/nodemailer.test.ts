/** nodemailer, which sends to us. */
import nodemailer from 'nodemailer'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

async function send({ host, port, from, to }: Errand, message: object) {
  const transport = nodemailer.createTransport({ host, port, name: 'nodemailer.client.example', ignoreTLS: true })
  const { response } = await transport.sendMail({ envelope: { from, to: [to] }, ...message })
  transport.close()
  return { status: 0, out: response, err: '' }
}

testClient({
  name: 'nodemailer',
  sends: TEXTS,
  send: errand => send(errand, { raw: errand.content }),
  attaches: errand =>
    send(errand, {
      from: errand.from,
      to: errand.to,
      subject: errand.token,
      attachments: [{ filename: 'binary', content: errand.content }],
    }),
})
