import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { MailServer, readMailServer } from '../app/mail-server.ts'
import { formatDiagnostic } from '../base/problem.ts'
import { now } from '../io/clock.ts'
import { MemorySpool } from '../io/memory-spool.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { printable, sayLogin, sayReceived, sayTried } from '../mta/news.ts'
import { passwordCommand } from './password.ts'
import { complain, EXIT, log } from './print.ts'
import { until } from './signals.ts'

/** `postern mta …`: the mail transfer agent. */
export function mtaCommands(program: Command): void {
  const mta = program.command('mta').description('the mail transfer agent')
  runCommand(mta)
  passwordCommand(mta)
}

function runCommand(mta: Command): void {
  mta
    .command('run')
    .description('take mail where `listen` of a configuration says, deliver it into Maildirs and relay it')
    .argument('<file>', 'a configuration of a mail server')
    .option(
      '--maildir <folder>',
      'the folder of all Maildirs, one for each mailbox (default: maildir, beside the file)',
    )
    .option('--quiet', 'say nothing of single messages')
    .action(async (file: string, options: RunOptions) => {
      process.exitCode = await run(file, options)
    })
}

interface RunOptions {
  readonly maildir?: string
  readonly quiet?: boolean
}

async function run(file: string, { maildir = join(dirname(file), 'maildir'), quiet }: RunOptions): Promise<number> {
  const files = await readMailServer(file)
  for (const warning of files.warnings) complain(formatDiagnostic(warning))
  const asked = until('SIGINT', 'SIGTERM')
  const server = await MailServer.start(files, {
    spool: new MemorySpool(),
    maildir,
    ...(!quiet && {
      events: {
        received: entry => log(sayReceived(entry)),
        tried: (entry, outcomes) => {
          for (const line of sayTried(entry, outcomes.keys(), now())) log(line)
        },
        login: (peer, what) => log(sayLogin(peer, what)),
        note: what => log(printable(what)),
      },
    }),
  })
  complain(`mailboxes are Maildirs below ${maildir}`)
  complain('the queue is in memory: what waits in it is lost when this process ends')
  for (const endpoint of server.endpoints) complain(`listening at ${sayEndpoint(endpoint)}`)
  await asked
  await server.stop()
  const lost = (await server.mta.queue()).length
  if (lost > 0) complain(`stopped with ${lost} ${lost === 1 ? 'message' : 'messages'} in the queue, now lost`)
  return EXIT.ok
}
