import { dirname, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import type { Command } from 'commander'
import { MailService } from '../app/mail-service.ts'
import { SERVER_NODE } from '../app/mta-control.ts'
import { spoolFolder } from '../app/mta-spool.ts'
import { formatDiagnostic, PosternError } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { askControl } from '../io/control.ts'
import { readBytes } from '../io/files.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { MTA } from '../mta/commands.ts'
import { type MtaEvent, sayEvent } from '../mta/news.ts'
import { passwordCommand } from './password.ts'
import { complain, EXIT, log } from './print.ts'
import { until } from './signals.ts'

/** `postern mta …`: the mail transfer agent. */
export function mtaCommands(program: Command): void {
  const mta = program.command('mta').description('the mail transfer agent')
  runCommand(mta)
  passwordCommand(mta)
  mta
    .command('reload')
    .description('let a running server read its file again: all of it is put in force, or nothing is')
    .argument('<file>', 'the configuration of the mail server, as for postern mta run')
    .action(async (file: string) => {
      process.exitCode = await reload(file)
    })
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
    .option('--json', 'print JSON, a line for each thing that happens, on standard output')
    .action(async (file: string, options: RunOptions) => {
      process.exitCode = await run(file, options)
    })
}

interface RunOptions {
  readonly maildir?: string
  readonly quiet?: boolean
  readonly json?: boolean
}

async function run(
  file: string,
  { maildir = join(dirname(file), 'maildir'), quiet = false, json = false }: RunOptions,
): Promise<number> {
  keepSmall()
  const asked = until('SIGINT', 'SIGTERM')
  // One that comes before there is anything to reload is no reason to end.
  let service: MailService | undefined
  const again = () =>
    void service?.reload().then(({ answer }) => {
      for (const line of answer) complain(line)
    })
  process.on('SIGHUP', again)
  service = await MailService.start(file, { maildir, json, look: event => look(event, quiet || json) })
  const { spool, spoolFolder: folder } = service
  for (const warning of service.warnings) complain(formatDiagnostic(warning))
  complain(`mailboxes are Maildirs below ${maildir}`)
  complain(
    folder === undefined
      ? 'the queue is in memory: what waits in it is lost when this process ends'
      : `messages wait in ${folder}: ${count(spool?.count ?? 0)}`,
  )
  if (process.getuid?.() === 0) complain('it runs as root; a line such as "user postern" gives that up')
  for (const endpoint of service.endpoints) complain(`listening at ${sayEndpoint(endpoint)}`)
  for (const endpoint of service.memberEndpoints)
    complain(`members of the routing group are heard at ${sayEndpoint(endpoint)}`)
  try {
    await asked
  } finally {
    process.off('SIGHUP', again)
    await service.stop()
  }
  const left = spool?.count ?? 0
  if (left > 0) complain(`stopped with ${count(left)} in the queue${spool?.lasts ? '' : ', now lost'}`)
  return EXIT.ok
}

/**
 * V8 lets what is rubbish grow to several times what is in use before it clears up, and with a long queue what is in use is
 * much. Twice is enough: it clears up more often, on a thread of its own, and a queue of 200,000 takes a third less.
 */
function keepSmall(): void {
  setFlagsFromString('--heap-growing-percent=100')
}

/** For whoever sits before it: what a log would say, in words. `quiet`: nothing of single messages. */
function look(event: MtaEvent, quiet: boolean): void {
  switch (event.kind) {
    case 'note':
      return log(sayEvent(event))
    case 'message':
    case 'refused':
    case 'login':
    case 'turned-away':
      return quiet ? undefined : log(sayEvent(event))
    // The rest is said in full where it happens.
    default:
  }
}

const count = (messages: number): string => `${messages} ${messages === 1 ? 'message' : 'messages'}`

/** Asks the running server to read its file again, and says what came of it. */
async function reload(file: string): Promise<number> {
  // Its mistakes are the server's to tell.
  const { config } = parse(MTA, readBytes(file).toString('utf8'), file)
  const folder = spoolFolder(config, dirname(file))
  if (folder === undefined) {
    throw new PosternError('POSTERN_NO_CONTROL', `${file} says "spool memory": send the server SIGHUP instead`, {
      side: 'us',
      retry: 'never',
    })
  }
  const { answer, wrong } = await askControl(folder, { ask: 'type', node: SERVER_NODE, line: 'reload' })
  for (const line of answer) complain(line)
  return wrong ? EXIT.misuse : EXIT.ok
}
