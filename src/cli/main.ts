#!/usr/bin/env node
/** The command: it reads what was asked, and says what came of it. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { EX, USAGE } from '../mail/sendmail.ts'
import { configCommands } from './config.ts'
import { diagnoseCommand, STATUS } from './diagnose.ts'
import { firewallCommands } from './firewall.ts'
import { initCommands } from './init.ts'
import { labCommands } from './lab.ts'
import { listenCommand } from './listen.ts'
import { mtaCommands } from './mta.ts'
import { complain, EXIT, explainFailure, statusOf } from './print.ts'
import { queueCommands } from './queue.ts'
import { routingCommands } from './routing.ts'
import { calledAsSendmail, sendmail } from './sendmail.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string
}

const program = new Command('postern')
  .description('An SMTP-aware firewall, a mail transfer agent, and the diagnosis of what altered your mail')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(postern --help tells what can be asked)')
labCommands(program)
firewallCommands(program)
configCommands(program)
initCommands(program)
routingCommands(program)
mtaCommands(program)
queueCommands(program)
diagnoseCommand(program)
listenCommand(program)
// For the list of commands; it is called above.
program
  .command('sendmail')
  .description('hand in a message as sendmail does: -t -i -f SENDER -- RECIPIENT…; also by that name, through a link')
  .addHelpText('after', `\n${USAGE}`)
// Each command of a command has its own way out; all of them lead to ours.
for (const group of program.commands) for (const command of [group, ...group.commands]) command.exitOverride()

// A reader that went away (`| head`) is no failure of ours.
process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
  if (cause.code !== 'EPIPE') return
  // Whoever has something to take down does so; the others just end.
  if (!process.emit('SIGTERM')) process.exit(EXIT.ok)
})

// A log that nobody reads any more is no reason to cut the connections it would have told of.
process.stderr.on('error', () => {})

const asSendmail = calledAsSendmail(process.argv)
try {
  // Its options are older than any rule for them.
  if (asSendmail) process.exitCode = await sendmail(asSendmail.name, asSendmail.args)
  else await program.parseAsync()
} catch (cause) {
  if (cause instanceof CommanderError) {
    // A check of Nagios takes 2 for its own word.
    const misuse = process.argv[2] === 'diagnose' ? STATUS.misuse : EXIT.misuse
    process.exitCode = cause.exitCode === 0 ? EXIT.ok : misuse
  } else {
    complain(explainFailure(cause))
    process.exitCode = asSendmail ? EX.software : statusOf(cause)
  }
}

// Everything is taken down and said. Whatever still lingers (a peer that does not close) must not keep us: what is left
// of standard output is waited for, what is left of the log a moment.
const flushed = (stream: NodeJS.WriteStream): Promise<void> => new Promise(done => stream.write('', () => done()))
await flushed(process.stdout)
await Promise.race([flushed(process.stderr), new Promise(done => setTimeout(done, 1_000))])
process.exit()
