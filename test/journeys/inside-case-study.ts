/** What `lab-exec.test.ts` runs inside the laboratory: talks to its entries, and prints what it heard as JSON. */
import { setTimeout as sleep } from 'node:timers/promises'
import { postern, Talk } from './postern.ts'

const env = (name: string): string => process.env[`POSTERN_${name}`] ?? ''
const heard: Record<string, unknown> = {}

heard.recipients = [env('RCPT_A'), env('RCPT_B')]
for (const name of ['MAIL_A', 'MAIL_B', 'FW_A_OUTSIDE']) {
  const talk = await Talk.to(env(name))
  heard[`${name} greeting`] = await talk.hear()
  heard[`${name} EHLO`] = await talk.ask('ehlo remote-domain.com')
  talk.close()
}

const through = await Talk.to(env('FW_B_VPN'))
heard.greeting = await through.hear()
for (const line of [
  'EHLO x',
  'HELO x',
  'NOOP',
  'BDAT 86 LAST',
  'XEXCH50 1024 2',
  'STARTTLS',
  'MAIL FROM:<alice@a.example>',
  `RCPT TO:<${env('RCPT_B')}>`,
  'RSET',
  'MAIL FROM:<alice@a.example>',
  `RCPT TO:<${env('RCPT_B')}>`,
  'DATA',
]) {
  heard[line] = await through.ask(line)
}
// Ten megabytes, dots and all; what arrives is counted by the test from the Maildir.
const lines = `${'..'}${'x'.repeat(74)}\r\n`.repeat(131_072)
through.say(`Subject: ten megabytes\r\n\r\n${lines}.\r\n`)
heard['end of data'] = await through.hear()
heard.QUIT = await through.ask('QUIT')

const typed = await Talk.to(env('FW_B_VPN'))
await typed.hear()
for (const octet of 'HELO x\r\n') {
  typed.say(octet)
  // The kernel may join what is sent in one breath.
  await sleep(25)
}
heard['typed HELO x'] = await typed.hear()
typed.close()

heard.outside = await Talk.to(env('FW_B_OUTSIDE')).then(
  () => 'connected',
  (cause: NodeJS.ErrnoException) => cause.code,
)

for (const line of [
  'show fixup',
  'show conn',
  'no fixup protocol smtp',
  'fixup protcol smtp 25',
  'show explain',
  '?',
]) {
  const { status, out } = await postern(['lab', 'type', 'fw-b', line])
  heard[`type ${line}`] = { status, out }
}
const open = await Talk.to(env('FW_B_VPN'))
await open.hear()
heard['show conn, one open'] = (await postern(['lab', 'type', 'fw-b', 'show conn'])).out
await postern(['lab', 'type', 'fw-b', 'no fixup protocol smtp 25'])
heard['old EHLO'] = await open.ask('EHLO old.example')
const fresh = await Talk.to(env('FW_B_VPN'))
await fresh.hear()
heard['new EHLO'] = await fresh.ask('EHLO new.example')
heard['show conn, two open'] = (await postern(['lab', 'type', 'fw-b', 'show conn'])).out
for (const line of [
  'access-list out permit tcp any host 192.0.2.10 eq smtp',
  'access-group out in interface outside',
]) {
  await postern(['lab', 'type', 'fw-b', line])
}
const outside = await Talk.to(env('FW_B_OUTSIDE'))
heard['outside, permitted'] = await outside.hear()
for (const talk of [open, fresh, outside]) talk.close()

process.stdout.write(`${JSON.stringify(heard)}\n`)
process.exitCode = 7
