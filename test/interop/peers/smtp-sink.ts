/** Postfix's smtp-sink: takes everything, and behaves as badly as it is told to. */
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { type Program, start, untilListening, workDirectory } from '../../../tools/bench/process.ts'
import { peer } from '../../../tools/peers.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import { FAMILIES } from '../postern.ts'
import type { MailSystem, Ports } from './mail-system.ts'

/** What it writes above a message, and is no header field of its own accord: who sent it, and how. */
const ABOVE = /^(?:X-(?:Client|Helo|Mail|Rcpt)-[^\n]*\n)*/

export interface SmtpSink extends MailSystem {
  /** What it wrote above the letter: the arguments of HELO, MAIL and RCPT. */
  envelope(token: string): Promise<string>
}

/** One for each family, with these switches of its command line: smtp-sink(1). */
export async function startSmtpSink({ port }: Ports, switches: readonly string[] = []): Promise<SmtpSink> {
  const { command, env, version } = peer('smtp-sink')
  const folder = mkdtempSync(join(workDirectory(), 'smtp-sink-'))
  const dump = join(folder, 'dump')
  mkdirSync(dump)
  // As root it becomes somebody else, who must get here and write.
  for (const each of [workDirectory(), folder]) chmodSync(each, 0o755)
  chmodSync(dump, 0o777)
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const programs: Program[] = []
  for (const host of Object.values(FAMILIES)) {
    const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const args = [...user, '-v', ...switches, '-d', join(dump, 'mail.'), at, '64']
    programs.push(start({ name: 'smtp-sink', command, args, env }))
  }
  for (const program of programs) await untilListening(program, port)
  const said = () => programs.map(program => program.said()).join('\n')
  const dumped = async (token: string) => (await arrival(dump, token, said)).toString('latin1')
  return {
    version: `smtp-sink of ${version}`,
    // Behind each message it writes an empty line.
    arrived: async token => {
      const text = (await dumped(token)).replace(ABOVE, '').replace(/\n$/, '')
      return withCrlf(Buffer.from(text, 'latin1'))
    },
    envelope: async token => ABOVE.exec(await dumped(token))?.[0] ?? '',
    said,
    stop: async () => {
      for (const program of programs) await program.stop()
    },
  }
}
