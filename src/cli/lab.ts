import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { Lab, type LabFiles, labFolder, readLab } from '../app/lab.ts'
import { STORIES } from '../app/stories.ts'
import { type Letter, type Letters, PATIENCE, type Story } from '../app/story.ts'
import { PosternError } from '../base/problem.ts'
import { formatDuration, parseDuration } from '../base/time.ts'
import { readBytes } from '../io/files.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { ending, type Step } from '../lab/story.ts'
import { formatMailbox } from '../smtp/address.ts'
import { type } from './firewall.ts'
import { EXIT, print, printEnding, printStep, styled } from './print.ts'
import { turnLink } from './routing.ts'
import { until } from './signals.ts'

/** `postern lab …`: laboratories on this machine. */
export function labCommands(program: Command): void {
  const lab = program.command('lab').description('laboratories: sites, firewalls and mail servers on this machine')
  lab
    .command('run')
    .description('bring a laboratory up and tell its story')
    .argument(
      '<lab>',
      'a folder with a lab.conf, or an example by name: case-study, case-study-firebox, four-sites, which-verb',
    )
    .option('--once', 'end after the story; exit status 1 if an expectation did not hold')
    .option('--json', 'print one JSON object per step, and a last one that counts')
    .option('--mail <file>', 'send this message, too')
    .option('--patience <duration>', 'how long to wait for what is expected', formatDuration(PATIENCE))
    .action(async (name: string, options: RunOptions) => {
      process.exitCode = await run(name, options)
    })
  lab
    .command('exec')
    .description('bring a laboratory up, run a command in it, take it down; POSTERN_… name its entries')
    .argument('<lab>', 'a folder with a lab.conf, or an example by name')
    .argument('<command...>', 'the command, behind --')
    .action(async (name: string, command: readonly string[]) => {
      process.exitCode = await exec(name, command)
    })
  lab
    .command('type')
    .description('type a line at a firewall of the running laboratory, and print its answer')
    .argument('<node>', 'the firewall, such as fw-b')
    .argument('<line>', "the line, such as 'show fixup', 'no fixup protocol smtp 25' or '?'")
    .action(async (node: string, line: string) => {
      process.exitCode = await type(node, [line], 'no laboratory is running (start one: ./postern lab run case-study)')
    })
  for (const [what, does] of [
    ['cut', 'cut a link of the running laboratory'],
    ['heal', 'mend it'],
  ] as const) {
    lab
      .command(what)
      .description(does)
      .argument('<link>', 'the link, such as link-bc')
      .action(async (link: string) => {
        process.exitCode = await turnLink(what, link)
      })
  }
}

interface RunOptions {
  readonly once?: boolean
  readonly json?: boolean
  readonly mail?: string
  readonly patience: string
}

async function run(name: string, { once = false, json = false, mail, patience: wait }: RunOptions): Promise<number> {
  const patience = parseDuration(wait)
  if (patience === undefined) throw misuse(`"${wait}" is not a duration: expected one such as 20s or 2m`)
  const files = readLab(labFolder(name))
  const begin = STORIES.get(files.config.name)
  if (!begin) throw misuse(`there is no story for the laboratory "${files.config.name}"`)
  const letters = readLetters(files, mail)
  const tell = (step: Step) => (json ? print(JSON.stringify(step)) : printStep(step))
  // Before anything is said or up: from now on an end is an orderly one.
  const interrupted = until('SIGINT', 'SIGTERM', 'SIGHUP')
  if (!json) announce(files)
  const story = await begin(files, { letters, tell, patience })
  try {
    const told = story.run()
    // Whoever is interrupted in the middle wants out, not the end of the story.
    const steps = await Promise.race([told, interrupted.then(() => undefined)])
    if (!steps) {
      told.catch(() => {})
      return EXIT.failed
    }
    const end = ending(story.name, steps)
    if (json) print(JSON.stringify(end))
    else printEnding(end, steps)
    if (!once) {
      if (!json) invite(story)
      await interrupted
    }
    return end.failed === 0 ? EXIT.ok : EXIT.failed
  } finally {
    await story.abandon()
  }
}

function announce({ config, folder }: LabFiles): void {
  print(styled(`The laboratory ${config.name}, on loopback, from ${folder}`, 'head'))
  // The picture at the head of its file.
  const comments = readBytes(join(folder, 'lab.conf')).toString('utf8').split(/^[^!]/m)[0] ?? ''
  for (const line of comments.split('\n').slice(1)) if (line !== '') print(styled(`  ${line.slice(1)}`, 'quiet'))
}

/** How to use what is still up. */
function invite(story: Story): void {
  const { lab } = story
  print()
  print('The laboratory stays up. Press Ctrl-C to take it down. Meanwhile, from another terminal:')
  print()
  for (const { name, node, source, destination } of lab.files.config.entries) {
    const at = lab.entries.get(name)
    if (at) print(`   ${name.padEnd(13)} ${sayEndpoint(at).padEnd(16)} at ${node}, as ${source} calling ${destination}`)
  }
  print()
  const { from, to, entry } = lab.files.config.mails[0] ?? {}
  const at = entry === undefined ? undefined : lab.entries.get(entry)
  if (from && to && at) {
    print('   send a message of your own:')
    print(
      `     curl smtp://${sayEndpoint(at)} --mail-from ${formatMailbox(from)} --mail-rcpt ${formatMailbox(to)} -T FILE`,
    )
    print(`   and read it in ${lab.maildir(formatMailbox(to))}/new`)
  }
  for (const line of story.invitation()) print(`   ${line}`)
}

async function exec(name: string, [command, ...args]: readonly string[]): Promise<number> {
  if (command === undefined || command === '') throw misuse('a command is missing: postern lab exec LAB -- COMMAND …')
  const files = readLab(labFolder(name))
  const signals = passSignals()
  const lab = await Lab.start(files)
  const env: Record<string, string | undefined> = {
    ...process.env,
    POSTERN_LAB: lab.state,
    POSTERN_LAB_FILES: files.folder,
  }
  for (const [entry, at] of lab.entries) env[`POSTERN_${entry}`] = sayEndpoint(at)
  for (const { node, address } of recipients(files)) env[`POSTERN_RCPT_${node}`] = address
  try {
    return await outcome(signals.to(spawn(command, args, { stdio: 'inherit', env })), command)
  } finally {
    await lab.stop()
    signals.end()
  }
}

/** `POSTERN_RCPT_A`: who gets mail at the entry `MAIL_A`. */
function recipients({ config, mtas }: LabFiles): readonly { readonly node: string; readonly address: string }[] {
  return config.entries.flatMap(({ name, node }) => {
    const mailbox = name.startsWith('MAIL_') ? mtas.get(node)?.mailboxes[0] : undefined
    return mailbox ? [{ node: name.slice('MAIL_'.length), address: formatMailbox(mailbox) }] : []
  })
}

/**
 * Hands signals on to the command. The terminal sends Ctrl-C to both of us: the command decides what it means, and we
 * clean up behind it. One that does not end when asked is ended when asked again.
 */
function passSignals(): { to(child: ChildProcess): ChildProcess; end(): void } {
  let child: ChildProcess | undefined
  let asked = false
  const ignore = () => {}
  const pass = () => {
    child?.kill(asked ? 'SIGKILL' : 'SIGTERM')
    asked = true
  }
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass)
  return {
    to: started => {
      child = started
      if (asked) child.kill('SIGTERM')
      return child
    },
    end: () => void process.off('SIGINT', ignore).off('SIGTERM', pass).off('SIGHUP', pass),
  }
}

/** The command's own status; as a shell counts it where a signal ended it. */
function outcome(child: ChildProcess, command: string): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    child.on('error', cause => reject(misuse(`cannot run ${command}: ${cause.message}`)))
    child.on('exit', (status, signal) => resolve(status ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
}

/** The messages of the story, and the user's own behind those of the first entry. */
function readLetters({ config, folder }: LabFiles, own: string | undefined): readonly Letters[] {
  return config.mails.map((mail, i) => {
    const from = join(folder, mail.folder)
    const names = list(from).filter(name => name.endsWith('.eml'))
    const letters: Letter[] = names.map(name => ({ name, content: readLetter(join(from, name)) }))
    if (own !== undefined && i === 0) letters.push({ name: basename(own), content: readLetter(own) })
    return { folder: mail, letters }
  })
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort()
  } catch (cause) {
    throw misuse(`cannot read the folder ${folder}: ${(cause as Error).message}`)
  }
}

/** A message as SMTP carries it: every line ends with CRLF, and so does the last. */
function readLetter(path: string): Uint8Array {
  const text = readBytes(path).toString('latin1')
  if (text === '') throw misuse(`${path} is empty: a message was expected`)
  const lines = text.replace(/\r\n|\r|\n/g, '\r\n')
  if (!/^[!-9;-~]+:/.test(lines))
    throw misuse(`${path}:1:1: a message begins with a header field, such as "Subject: …"`)
  return Buffer.from(lines.endsWith('\r\n') ? lines : `${lines}\r\n`, 'latin1')
}

function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
