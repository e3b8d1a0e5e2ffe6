/** Other people's programs as clients: straight to mail-b, and through fw-b's MailGuard. What arrives is compared. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab, labFolder, readLab } from '../../src/app/lab.ts'
import { readMaildir } from '../../src/io/maildir.ts'
import { withoutTrace } from '../../src/mail/trace.ts'
import { ROOT, run } from './postern.ts'

let lab: Lab
let folder: string

before(async () => {
  lab = await Lab.start(readLab(labFolder('case-study')))
  folder = mkdtempSync(join(tmpdir(), 'clients-'))
})
after(async () => {
  await lab.stop()
  rmSync(folder, { recursive: true, force: true })
})

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

/** How each program sends a file to bob; it is asked to say what it heard. */
const CLIENTS: Readonly<Record<string, (host: string, port: string, file: string) => readonly string[]>> = {
  curl: (host, port, file) => [
    '-sS',
    '-v',
    `smtp://${host}:${port}/client.example`,
    '--mail-from',
    'alice@a.example',
    '--mail-rcpt',
    'bob@b.example',
    '-T',
    file,
  ],
  swaks: (host, port, file) => [
    '--server',
    host,
    '--port',
    port,
    '--helo',
    'client.example',
    '--from',
    'alice@a.example',
    '--to',
    'bob@b.example',
    '--data',
    `@${file}`,
  ],
  python3: (host, port, file) => [
    '-c',
    `import smtplib
s = smtplib.SMTP('${host}', ${port}, local_hostname='client.example')
s.set_debuglevel(1)
print(s.sendmail('alice@a.example', ['bob@b.example'], open('${file}', 'rb').read()))
s.quit()`,
  ],
}

for (const [program, args] of Object.entries(CLIENTS)) {
  for (const [entry, how] of [
    ['MAIL_B', 'straight to mail-b'],
    ['FW_B_VPN', 'through the MailGuard of fw-b'],
  ] as const) {
    const skip = has(program) ? false : `${program} is not installed`
    test(`${program} delivers ${how}, and the message arrives as it was sent`, { skip }, async () => {
      const at = lab.entries.get(entry)
      assert.ok(at)
      // swaks takes a last line of a lone dot for the end of the data it is given.
      const letter = program === 'swaks' ? '5-long-lines.eml' : '4-dots.eml'
      const text = readFileSync(join(ROOT, 'examples/case-study/mail', letter), 'latin1')
      const unique = text.replace('Subject: ', `Subject: ${program} ${entry} `)
      const file = join(folder, `${program}-${entry}.eml`)
      writeFileSync(file, unique, 'latin1')
      const { status, out, err } = await run(program, args(at.host, String(at.port), file))
      assert.equal(status, 0, `${out}\n${err}`)
      if (entry === 'FW_B_VPN') assert.match(`${out}${err}`, /"XXXX client\.example\\?"/)
      const sent = Buffer.from(unique, 'latin1')
      const ends = [sent, sent.subarray(0, sent.length - 2), Buffer.concat([sent, Buffer.from('\r\n')])]
      const found = async () =>
        (await readMaildir(lab.maildir('bob@b.example'))).filter(each =>
          ends.some(end => 'gained' in withoutTrace(each, end)),
        )
      // A 250 says that it is kept; into the mailbox it goes a moment later.
      for (let i = 0; i < 100 && (await found()).length === 0; i++) await sleep(20)
      const same = await found()
      assert.equal(same.length, 1, 'none of the messages that arrived is the one that was sent')
    })
  }
}

test('a stranger who asks mail-b to relay is refused', async () => {
  const at = lab.entries.get('FW_B_VPN')
  assert.ok(at && has('curl'))
  const { status, err } = await run('curl', [
    '-sS',
    '-v',
    `smtp://${at.host}:${at.port}/client.example`,
    '--mail-from',
    'alice@a.example',
    '--mail-rcpt',
    'somebody@elsewhere.example',
    '-T',
    join(ROOT, 'examples/case-study/mail/1-plain.eml'),
  ])
  assert.notEqual(status, 0)
  assert.match(err, /550 5\.7\.1 Unable to relay for somebody@elsewhere\.example/)
})
