/** A Haraka of one's own: takes mail for anybody, and keeps each message in a file. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Program, start, untilListening, workDirectory } from '../../../tools/bench/process.ts'
import { peer } from '../../../tools/peers.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import type { MailSystem, Ports } from './mail-system.ts'

/** Written aside and renamed, so that nobody reads half of it. */
const PLUGIN = (folder: string): string => `
const fs = require('node:fs')
exports.hook_rcpt = next => next(OK)
exports.hook_queue = (next, { transaction }) => {
  const file = ${JSON.stringify(`${folder}/`)} + transaction.uuid
  const stream = fs.createWriteStream(file + '.part')
  stream.once('close', () => {
    fs.renameSync(file + '.part', file)
    next(OK)
  })
  transaction.message_stream.pipe(stream)
}
`

/** Starts one in a folder of its own. It does without none of its own settings; `files` stand over them. */
export function layOutHaraka(files: Readonly<Record<string, string>>): {
  readonly folder: string
  readonly version: string
  readonly program: Program
} {
  const { command, root, version } = peer('haraka')
  const folder = mkdtempSync(join(workDirectory(), 'haraka-'))
  cpSync(join(root, 'node_modules/Haraka/config'), join(folder, 'config'), { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const program = start({ name: 'haraka', command: process.execPath, args: [command, '-c', folder], cwd: folder })
  return { folder, version, program }
}

export async function startHaraka({ port, tls }: Ports): Promise<MailSystem> {
  const kept = mkdtempSync(join(workDirectory(), 'haraka-kept-'))
  const { version, program } = layOutHaraka({
    'config/smtp.ini': `listen=127.0.0.1:${port},[::1]:${port}\n`,
    'config/plugins': tls ? 'tls\nkeep\n' : 'keep\n',
    ...(tls && {
      'config/tls_cert.pem': readFileSync(tls.certificate, 'utf8'),
      'config/tls_key.pem': readFileSync(tls.key, 'utf8'),
    }),
    'config/me': 'haraka.peer.example\n',
    // Octets of a message (0 is no limit), and of a line: beyond 992 it would fold, which RFC 5321 gives no right to.
    'config/connection.ini': '[max]\nbytes=0\ndata_line_length=100000\n[message]\n[uuid]\n',
    'plugins/keep.js': PLUGIN(kept),
  })
  await untilListening(program, port)
  return {
    version,
    arrived: async token => withCrlf(await arrival(kept, token, program.said)),
    said: program.said,
    stop: () => program.stop(),
  }
}
