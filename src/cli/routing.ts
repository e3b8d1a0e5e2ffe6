import { dirname } from 'node:path'
import type { Command } from 'commander'
import { atRest, type LinkState } from '../app/link-state.ts'
import { spoolFolder } from '../app/mta-spool.ts'
import { answerRouting, compareTables, type RoutingQuestion, readDump, toldOf } from '../app/routing-desk.ts'
import { words } from '../app/words.ts'
import { type Diagnostic, PosternError } from '../base/problem.ts'
import { now } from '../io/clock.ts'
import { askControl, type ControlAnswer } from '../io/control.ts'
import { ConfigurationError, isFile, readConfig } from '../io/files.ts'
import { runningStates, type State } from '../io/state.ts'
import { MTA } from '../mta/commands.ts'
import { EXIT, print } from './print.ts'

interface Options {
  readonly config?: readonly string[]
  readonly running?: string
  readonly node?: string
  readonly json?: boolean
  readonly dot?: boolean
  readonly svg?: boolean
  readonly size?: string
  readonly from?: string
}

/** `postern route …` and `postern linkstate …`: which way mail goes, and what is known of the organisation. */
export function routingCommands(program: Command): void {
  const route = program.command('route').description('which way mail goes, and why')
  withSource(route.command('explain'))
    .description(
      'every way there is to a recipient, why each was dropped, and the one that is taken; status 1 if there is none',
    )
    .argument('<recipient>', 'an address')
    .option('--from <sender>', 'as mail from this sender; <> is a report')
    .option('--size <octets>', 'as a message of so many octets')
    .action(async (recipient: string, options: Options) => {
      const { from, size } = options
      const octets = size === undefined ? undefined : Number(size)
      if (octets !== undefined && !(Number.isSafeInteger(octets) && octets >= 0))
        throw misuse(`"${size}" is no number of octets`)
      const about = {
        to: recipient,
        ...(from !== undefined && { from }),
        ...(octets !== undefined && { size: octets }),
      }
      const kind = await say(options, { what: 'explain', form: formOf(options), ...about })
      if (kind === 'unreachable') process.exitCode = EXIT.failed
    })
  withSource(route.command('table'))
    .description('the ways to every address space')
    .action(async (options: Options) => void (await say(options, { what: 'table', form: formOf(options) })))
  const linkState = program.command('linkstate').description('what is known of every routing group')
  withSource(linkState.command('show'))
    .description('groups, versions, connectors and their states')
    .action(async (options: Options) => void (await say(options, { what: 'show', form: formOf(options) })))
  linkState
    .command('diff')
    .description('how the tables of two mail servers that run differ; status 1 if they do')
    .argument('<server>', 'a mail server of the running laboratory, or the configuration of one that runs by itself')
    .argument('<other>', 'the other')
    .option('--json', 'print JSON')
    .action(async (node: string, other: string, { json = false }: Options) => {
      const question: RoutingQuestion = { what: 'dump', form: 'text' }
      const [ours, theirs] = await Promise.all(
        [node, other].map(each => (isFile(each) ? askServer(each, question) : askRunning(each, question))),
      )
      const { lines, same } = compareTables(
        readDump(ours?.answer ?? []),
        readDump(theirs?.answer ?? []),
        json ? 'json' : 'text',
      )
      for (const line of lines) print(line)
      process.exitCode = same ? EXIT.ok : EXIT.failed
    })
}

function withSource(command: Command): Command {
  return command
    .option('--config <file...>', 'what these files say; mail begins at the first, the others tell of their groups')
    .option('--running <file>', 'what the running server of this configuration knows')
    .option('--node <name>', 'what this mail server of the running laboratory knows')
    .option('--json', 'print JSON')
    .option('--dot', 'print a picture of the groups, for Graphviz')
    .option('--svg', 'print a picture of the groups')
}

function formOf({ json, dot, svg }: Options): RoutingQuestion['form'] {
  return json ? 'json' : dot ? 'dot' : svg ? 'svg' : 'text'
}

/** What the answer comes to. */
async function say({ config, running, node }: Options, question: RoutingQuestion): Promise<ControlAnswer['kind']> {
  const { answer, kind } = config
    ? toldOf(answerRouting(readAll(config), question, now()))
    : running === undefined
      ? await askRunning(node, question)
      : await askServer(running, question)
  for (const line of answer) print(line)
  return kind
}

/** What the first file's server would know once all of them had talked. */
function readAll(files: readonly string[]): LinkState {
  const problems: Diagnostic[] = []
  const read: LinkState[] = []
  for (const file of files) {
    try {
      const { config } = readConfig(MTA, file)
      read.push(atRest(config))
    } catch (cause) {
      if (!(cause instanceof ConfigurationError)) throw cause
      problems.push(...cause.problems)
    }
  }
  const [first, ...others] = read
  if (problems.length > 0 || !first) throw new ConfigurationError(problems)
  first.learn(others)
  return first
}

async function askServer(file: string, question: RoutingQuestion): Promise<ControlAnswer> {
  const { config } = readConfig(MTA, file)
  const folder = spoolFolder(config, dirname(file))
  if (folder === undefined) throw misuse(`${file} says "spool memory": such a server cannot be asked`)
  const asking = askControl(folder, { ask: 'routing', node: '', line: JSON.stringify(question) })
  const told = await asking.catch(cause => {
    throw misuse(`no server of ${file} runs here, as far as ${folder} tells: ${words(cause)}`)
  })
  if (told.wrong) throw misuse(told.answer.join(' '))
  return told
}

async function askRunning(node: string | undefined, question: RoutingQuestion): Promise<ControlAnswer> {
  const { state, routers } = await newestWith('routers', node)
  const [only, another] = routers
  if (only === undefined || (node === undefined && another !== undefined)) {
    throw misuse(`say of which mail server: --node NAME (known: ${routers.join(', ')}), or --config FILE`)
  }
  const told = await askControl(state.folder, { ask: 'routing', node: node ?? only, line: JSON.stringify(question) })
  if (told.wrong) throw misuse(told.answer.join(' '))
  return told
}

/** Cuts or mends a link of the running laboratory. */
export async function turnLink(what: 'cut' | 'heal', link: string): Promise<number> {
  const { state } = await newestWith('links', link)
  const { answer, wrong } = await askControl(state.folder, { ask: what, node: '', line: link })
  for (const line of answer) print(line)
  return wrong ? EXIT.misuse : EXIT.ok
}

/** The newest laboratory that has one of that name. */
async function newestWith(
  ask: 'routers' | 'links',
  name: string | undefined,
): Promise<{ readonly state: Pick<State, 'folder'>; readonly routers: readonly string[] }> {
  const own = process.env.POSTERN_LAB
  const states = own === undefined ? runningStates() : [{ folder: own }]
  const known: string[] = []
  for (const state of states) {
    const routers: readonly string[] = await askControl(state.folder, { ask }).then(
      ({ answer, wrong }) => (wrong ? [] : answer),
      () => [],
    )
    if (routers.length > 0 && (name === undefined || routers.includes(name))) return { state, routers }
    known.push(...routers)
  }
  if (known.length === 0) throw misuse('no laboratory is running (start one: ./postern lab run four-sites)')
  throw misuse(`there is no "${name}" (known: ${[...new Set(known)].join(', ')})`)
}

function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
