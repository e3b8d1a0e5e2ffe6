import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { MailServer, readMailServer } from '../app/mail-server.ts'
import { openSpool, spoolFolder } from '../app/mta-spool.ts'
import { QueueDesk, type QueueRequest } from '../app/queue-desk.ts'
import { answerRouting, readQuestion } from '../app/routing-desk.ts'
import { formatDiagnostic } from '../base/problem.ts'
import { now } from '../io/clock.ts'
import { openControl } from '../io/control.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { CONTROL } from '../io/state.ts'
import { printable, sayEvent, severityOf } from '../mta/news.ts'
import type { Spool } from '../spool/spool.ts'
import { passwordCommand } from './password.ts'
import { complain, EXIT, log } from './print.ts'
import { QUEUE_NODE } from './queue.ts'
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
  const spool = openSpool(files.config, dirname(file), complain)
  const server = await MailServer.start(files, {
    spool,
    maildir,
    events: {
      note: what => log(printable(what)),
      ...(!quiet && {
        tell: event => {
          if (severityOf(event) < 7) log(sayEvent(event))
        },
      }),
    },
  })
  complain(`mailboxes are Maildirs below ${maildir}`)
  const folder = spoolFolder(files.config, dirname(file))
  complain(
    folder === undefined
      ? 'the queue is in memory: what waits in it is lost when this process ends'
      : `messages wait in ${folder}: ${count(spool.count)}`,
  )
  const control = folder === undefined ? undefined : await openQueueControl(folder, server, spool)
  for (const endpoint of server.endpoints) complain(`listening at ${sayEndpoint(endpoint)}`)
  await asked
  control?.close()
  await server.stop()
  const left = spool.count
  await spool.close()
  if (left > 0) complain(`stopped with ${count(left)} in the queue${spool.lasts ? '' : ', now lost'}`)
  return EXIT.ok
}

const count = (messages: number): string => `${messages} ${messages === 1 ? 'message' : 'messages'}`

/** What `postern queue` asks of the running server. The spool is ours, so a socket there that nobody answers is nobody's. */
async function openQueueControl(folder: string, { mta }: MailServer, spool: Spool): Promise<{ close(): void }> {
  const desk = new QueueDesk(mta.config, spool, { ways: mta.routing.service, wake: () => mta.wake() })
  rmSync(join(folder, CONTROL), { force: true })
  return openControl(folder, async request => {
    const asked = request.ask === 'routing' ? readQuestion(request.line) : undefined
    if (asked) return { answer: answerRouting(mta.routing, asked, now()), wrong: false }
    if (request.ask !== 'type' || request.node !== QUEUE_NODE)
      return { answer: ['a mail server has a queue and routes only'], wrong: true }
    return { answer: [JSON.stringify(await desk.ask(JSON.parse(request.line) as QueueRequest))], wrong: false }
  })
}
