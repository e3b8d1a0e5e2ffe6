import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { atRest } from '../app/link-state.ts'
import { QUEUE_NODE } from '../app/mta-control.ts'
import { openSpool, spoolFolder } from '../app/mta-spool.ts'
import { type QueueAnswer, QueueDesk, type QueueRequest } from '../app/queue-desk.ts'
import { PosternError } from '../base/problem.ts'
import { type Duration, type Instant, parseDuration } from '../base/time.ts'
import { askControl } from '../io/control.ts'
import { readConfig } from '../io/files.ts'
import { checkSpool } from '../io/spool-check.ts'
import { CONTROL } from '../io/state.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type Queued, type QueueVerb, sayExplain, sayList, sayReasons, sayShow } from '../mta/queue.ts'
import { complain, EXIT, print } from './print.ts'

const WHAT: Readonly<Record<QueueVerb, string>> = {
  list: 'list the messages that wait',
  show: 'show messages: their envelopes, and how each recipient stands',
  explain: 'say why messages are where they are, since they arrived, and what comes next',
  history: 'say what became of messages, those that are gone included',
  retry: 'try messages now',
  hold: 'leave messages alone until they are released',
  release: 'go on with messages that are held',
  remove: 'forget messages, and tell nobody',
  bounce: 'give messages up now, and tell their senders',
  check: 'read every message, and compare it with what came',
}

export interface QueueOptions {
  readonly from?: string
  readonly to?: string
  readonly hop?: string
  readonly olderThan?: number
  readonly reason?: string
  readonly limit?: number
  readonly all?: boolean
  readonly json?: boolean
  readonly repair?: boolean
}

/** `postern queue …`: the queue of a mail server that runs, or of one that does not. */
export function queueCommands(program: Command): void {
  const queue = program.command('queue').description('the messages that wait in a mail server')
  for (const [verb, description] of Object.entries(WHAT) as [QueueVerb, string][]) {
    const command = queue
      .command(verb)
      .description(description)
      .argument('<file>', 'the configuration of the mail server, as for postern mta run')
      .option('--json', 'print JSON, a line for each message')
    if (verb === 'check') {
      command.option('--repair', 'of a server that does not run: put aside what is damaged')
      command.action(async (file: string, options: QueueOptions) => {
        process.exitCode = await check(file, options)
      })
      continue
    }
    command
      .argument('[id...]', 'ids of messages; none: all that the options mean')
      .option('--from <text>', 'whose sender has this in it')
      .option('--to <text>', 'with a recipient that has this in it')
      .option(
        '--hop <text>',
        'that wait for a next hop with this in its name, of whatever kind; "mailbox": of that kind',
      )
      .option('--older-than <duration>', 'in the queue for so long: 90s, 10m, 12h, 2d', duration)
      .option('--reason <text>', 'with this anywhere on their trail')
      .option('--limit <number>', 'show so many at most', Number)
    if (CHANGING.has(verb)) command.option('--all', 'mean every message')
    command.action(async (file: string, ids: readonly string[], options: QueueOptions) => {
      process.exitCode = await runQueue(file, verb, ids, options)
    })
  }
}

/** A change of a long queue takes its time. */
const LONG_WAIT: Duration = 600_000
const CHANGING: ReadonlySet<QueueVerb> = new Set(['retry', 'hold', 'release', 'remove', 'bounce'])

function duration(text: string): number {
  const read = parseDuration(text)
  if (read === undefined) throw new InvalidArgumentError('expected a duration such as 90s, 10m, 12h or 2d')
  return read
}

/** Does it, and gives back the exit status. */
export async function runQueue(
  file: string,
  verb: Exclude<QueueVerb, 'check'>,
  ids: readonly string[],
  { json = false, limit, all, from, to, hop, olderThan, reason }: QueueOptions,
): Promise<number> {
  const { config } = readConfig(MTA, file)
  const filter = Object.fromEntries(
    Object.entries({ ids, from, to, hop, olderThan, reason }).filter(([, value]) => value !== undefined),
  )
  const answer = await ask(config, file, { verb, filter, ...(limit !== undefined && { limit }), ...(all && { all }) })
  if (answer.wrong !== undefined) {
    complain(`error: ${answer.wrong}`)
    return EXIT.misuse
  }
  if (json) {
    for (const { entry, ...rest } of answer.queued) print(JSON.stringify({ ...rest, ...entry }))
    for (const each of answer.done) print(JSON.stringify(each))
    if (isOrder(verb, answer)) print(JSON.stringify({ ordered: answer.meant }))
  } else for (const line of say(verb, answer, config)) print(line)
  const missing = ids.filter(
    id => !answer.queued.some(({ entry }) => entry.id === id) && !answer.done.some(done => done.id === id),
  )
  for (const id of missing) complain(`${id} is not in the queue`)
  return missing.length > 0 || answer.done.some(({ not }) => not !== undefined) ? EXIT.failed : EXIT.ok
}

/** Was one order given for all of them? */
function isOrder(verb: QueueVerb, { done, meant }: QueueAnswer): boolean {
  return CHANGING.has(verb) && done.length === 0 && meant > 0
}

function say(verb: QueueVerb, answer: QueueAnswer, config: MtaConfig): readonly string[] {
  const { now, queued, done, total, meant, unread } = answer
  switch (verb) {
    case 'list': {
      const shown = queued.length < meant ? `, of which ${queued.length} are shown (--limit shows more)` : ''
      const counted = `${count(meant)}${meant === total ? '' : ` of ${total}`}${shown}`
      const reading = unread > 0 ? [`the server still reads its queue, and has ${count(unread)} to go`] : []
      return [...sayList(queued, now), counted, ...reading, ...sayReasons(queued)]
    }
    case 'show':
    case 'explain':
    case 'history':
      if (queued.length > 0) return queued.flatMap(each => sayLong(verb, each, now, config))
      return [`${count(meant)}${meant === total ? '' : ` of ${total}`}${verb === 'history' ? GONE : ''}`]
    default:
      if (isOrder(verb, answer)) return [`all that waits ${PAST[verb]}: ${count(meant)}`]
      return [
        ...done.map(({ id, not }) => `${id}: ${not === undefined ? PAST[verb] : `not done: ${not}`}`),
        ...(done.length === 0 ? ['no message is meant'] : []),
      ]
  }
}

/** An entry as it stands, or with all that happened to it. */
function sayLong(verb: QueueVerb, queued: Queued, now: Instant, { retry }: MtaConfig): readonly string[] {
  return verb === 'show' ? sayShow(queued, now) : sayExplain(queued, now, retry)
}

const GONE = ' in the queue; of one that is gone, name the id (the log has it)'

const PAST: Readonly<Record<string, string>> = {
  retry: 'is tried now',
  hold: 'is held',
  release: 'goes on',
  remove: 'is forgotten',
  bounce: 'is given up, and its sender is told',
}

const count = (messages: number): string => `${messages} ${messages === 1 ? 'message' : 'messages'}`

/** Asks the running server, where there is one, or works on its spool. */
async function ask(config: MtaConfig, file: string, request: QueueRequest): Promise<QueueAnswer> {
  const folder = spoolFolder(config, dirname(file))
  if (folder === undefined) {
    throw new PosternError('POSTERN_SPOOL', `${file} says "spool memory": its queue can be seen in its log only`, {
      side: 'us',
      retry: 'never',
    })
  }
  if (existsSync(join(folder, CONTROL))) {
    const line = JSON.stringify(request)
    const asked = askControl(folder, { ask: 'type', node: QUEUE_NODE, line }, { wait: LONG_WAIT })
    const heard = await asked.catch(cause => {
      // Left behind by a server that was killed.
      if (cause instanceof PosternError && cause.code === 'POSTERN_NOBODY') return undefined
      throw cause
    })
    if (heard?.wrong)
      throw new PosternError('POSTERN_QUEUE', heard.answer.join('\n'), { side: 'server', retry: 'never' })
    if (heard) return JSON.parse(heard.answer[0] ?? '') as QueueAnswer
  }
  if (!existsSync(join(folder, 'queue.mdb'))) {
    throw new PosternError('POSTERN_SPOOL', `there is no spool in ${folder} yet`, { side: 'us', retry: 'later' })
  }
  const spool = openSpool(config, dirname(file), complain)
  try {
    const answer = await new QueueDesk(config, spool, { ways: atRest(config).service }).ask(request)
    return { ...answer, unread: 0 }
  } finally {
    await spool.close()
  }
}

async function check(file: string, { repair = false, json = false }: QueueOptions): Promise<number> {
  const folder = spoolFolder(readConfig(MTA, file).config, dirname(file))
  if (folder === undefined) return EXIT.ok
  const { messages, octets, damaged } = await checkSpool(folder, { repair })
  if (json) print(JSON.stringify({ messages, octets, damaged }))
  else {
    for (const { id, wrong, savedTo } of damaged) print(`${id}: ${wrong}${savedTo ? `; put aside as ${savedTo}` : ''}`)
    print(
      `${count(messages)}, ${octets} octets: ${damaged.length === 0 ? 'all as they came' : `${damaged.length} damaged`}`,
    )
  }
  return damaged.length > 0 ? EXIT.failed : EXIT.ok
}
