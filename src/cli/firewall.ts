import v8 from 'node:v8'
import type { Command } from 'commander'
import { Firewall } from '../app/firewall.ts'
import { cite, formatDiagnostic, PosternError } from '../base/problem.ts'
import { type GatewayEvent, messageOf } from '../firewall/event.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { converse } from './console.ts'
import { checkCommands } from './firewall-check.ts'
import { complain, EXIT, log, print } from './print.ts'
import { findRunning, typeThere } from './running.ts'
import { until } from './signals.ts'
import { whatIfCommand } from './what-if.ts'

const NONE = 'no firewall is running (start one: ./postern firewall run FILE)'

/** `postern firewall …`: a firewall of its own, before a mail server of this machine. */
export function firewallCommands(program: Command): void {
  const firewall = program.command('firewall').description('the SMTP-aware firewall')
  firewall
    .command('run')
    .description('listen where `static … tcp` of a configuration says, and inspect what passes')
    .argument('<file>', 'a configuration, in the words of a Cisco PIX')
    .option('--quiet', 'say nothing of what happens')
    .option('--json', 'print one JSON object for each thing that happens')
    .action(async (file: string, options: RunOptions) => {
      process.exitCode = await run(file, options)
    })
  firewall
    .command('console')
    .description('type at a running firewall; ? helps, the tab key completes')
    .argument('[name]', 'the firewall, by its hostname; may be left out where only one runs')
    .action(async (name: string | undefined) => {
      process.exitCode = await converse(await findRunning(name, NONE))
    })
  firewall
    .command('type')
    .description('type lines at a running firewall, and print their answers')
    .argument('<name>', 'the firewall, by its hostname')
    .argument('<line...>', "lines, such as 'show conn', each in quotation marks")
    .action(async (name: string, lines: readonly string[]) => {
      process.exitCode = await type(name, lines)
    })
  whatIfCommand(firewall)
  checkCommands(firewall)
}

interface RunOptions {
  readonly quiet?: boolean
  readonly json?: boolean
}

async function run(file: string, { quiet = false, json = false }: RunOptions): Promise<number> {
  // docs/decisions/0009-octets-count-with-the-heap.md: large messages cost less, many connections hold less.
  v8.setFlagsFromString('--external-memory-accounted-in-global-limit')
  v8.setFlagsFromString('--semi-space-growth-factor=1')
  // Hardly anything survives: to share that little between threads costs more than to copy it.
  v8.setFlagsFromString('--no-parallel-scavenge')
  // Before anything is up: from now on an end is an orderly one.
  const ended = until('SIGINT', 'SIGTERM')
  const events = quiet || json ? () => {} : say
  // One that comes before there is anything to reload is no reason to end.
  let running: Firewall | undefined
  const reload = () =>
    void running?.reload().then(({ answer }) => {
      for (const line of answer) complain(line)
    })
  process.on('SIGHUP', reload)
  const { firewall, warnings } = await Firewall.start(file, { json, events })
  running = firewall
  try {
    for (const warning of warnings) complain(formatDiagnostic(warning))
    const { doors } = firewall.gateway
    if (doors.length === 0) {
      const how = 'static (inside,outside) tcp 127.0.0.1 2525 127.0.0.1 2526 netmask 255.255.255.255'
      throw new PosternError('POSTERN_NO_DOOR', `${file} says nowhere where to listen; add a line such as: ${how}`, {
        side: 'us',
        retry: 'never',
      })
    }
    for (const door of doors) complain(`listening at ${sayEndpoint(door)}`)
    if ((await ended) === 'SIGTERM') await firewall.drain()
    return EXIT.ok
  } finally {
    process.off('SIGHUP', reload)
    await firewall.stop()
  }
}

/** For whoever sits before it: what a log would say, in words. */
function say(event: GatewayEvent): void {
  switch (event.kind) {
    case 'altered': {
      const { what, subject, because } = event.explanation
      if (what === 'server') return log(messageOf(event).text)
      const { source } = event.connection
      const line = `altered ${what} ${subject} of ${source} because of ${cite(because.cause.at)}: ${because.cause.command}`
      return log(line.replace('  ', ' '))
    }
    case 'denied': {
      const { source, destination, port } = event.knock
      return log(`refused ${source} to ${destination} port ${port}: ${event.reason}`)
    }
    case 'started':
    case 'built':
    case 'torn-down':
    case 'typed':
    case 'read':
      return
    default:
      log(messageOf(event).text)
  }
}

/** Types the lines one after the other, to the first that is wrong. */
export async function type(name: string, lines: readonly string[], nothing: string = NONE): Promise<number> {
  const running = await findRunning(name, nothing)
  for (const line of lines) {
    const { answer, wrong } = await typeThere(running, line)
    for (const each of answer) print(each)
    if (wrong) return EXIT.misuse
  }
  return EXIT.ok
}
