/** From where a server can be visited: from here, from some address of ours, or from anywhere in a laboratory. */
import { PosternError } from '../base/problem.ts'
import type { Caller } from '../firewall/access.ts'
import { askControl } from '../io/control.ts'
import type { Endpoint, Socket } from '../io/sockets.ts'
import { way } from '../lab/plan.ts'
import type { Hop } from '../topology/path.ts'
import { type LabFiles, readLab } from './lab.ts'
import { connector } from './prober.ts'

export interface Vantage {
  readonly name: string
  /** Who is called, in the words of the report. */
  readonly target: string
  readonly connect: () => Promise<Socket>
  /** The way from here, where a topology tells it. */
  readonly hops?: readonly Hop[]
  /** Who calls whom, as the firewalls on the way see it. */
  readonly caller?: Caller
}

/** A laboratory that lends itself to this process. */
export interface Around {
  readonly state: string
  readonly files: LabFiles
}

/** The laboratory around us (`postern lab exec`), if there is one. */
export function labAround(env: Readonly<Record<string, string | undefined>>): Around | undefined {
  const { POSTERN_LAB: state, POSTERN_LAB_FILES: folder } = env
  return state === undefined || folder === undefined ? undefined : { state, files: readLab(folder) }
}

export function parseEndpoint(text: string): Endpoint {
  const [, bracketed, bare, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const plain = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text) ? text : undefined
  const host = bracketed ?? bare ?? plain
  const number = Number(port ?? 25)
  if (host === undefined || number < 1 || number > 65_535) {
    throw new PosternError(
      'POSTERN_MISUSE',
      `"${text}" is no host: expected mx.example.com, 192.0.2.1:25 or [2001:db8::1]:25`,
      {
        side: 'us',
        retry: 'never',
      },
    )
  }
  return { host, port: number }
}

/** All entries of the laboratory, or those with these names or at these nodes. */
export function entriesOf(
  { files }: Around,
  env: Readonly<Record<string, string | undefined>>,
  from: readonly string[],
): readonly Vantage[] {
  const { entries } = files.config
  return entries
    .filter(({ name, node }) => from.length === 0 || from.some(each => each === name || each === node))
    .map(({ name, node, port, source, destination, destinationPort }): Vantage => {
      const at = parseEndpoint(env[`POSTERN_${name}`] ?? '')
      const hops = way(files.topology, files.firewalls, { node, ...(port !== undefined && { port }) }, destination)
      return {
        name,
        target: `${destination}:${destinationPort}`,
        connect: connector(at),
        ...('wrong' in hops ? {} : { hops }),
        caller: { source, destination, port: destinationPort },
      }
    })
}

/** A vantage at a node of the laboratory, for an address of its topology. */
export async function nodeVantage({ files, state }: Around, node: string, to: Endpoint): Promise<Vantage> {
  const hops = way(files.topology, files.firewalls, { node }, to.host)
  const known = [...files.topology.nodes.keys()].join(', ')
  if ('wrong' in hops) {
    throw new PosternError('POSTERN_NO_ROAD', `${hops.wrong} (nodes here: ${known})`, { side: 'us', retry: 'never' })
  }
  const { answer, wrong } = await askControl(state, { ask: 'road', node, line: `${to.host} ${to.port}` })
  if (wrong) throw new PosternError('POSTERN_NO_ROAD', answer.join(' '), { side: 'us', retry: 'never' })
  const source = files.topology.nodes.get(node)?.attachments[0]?.ip ?? ''
  return {
    name: node,
    target: `${to.host}:${to.port}`,
    connect: connector(parseEndpoint(answer[0] ?? '')),
    hops,
    caller: { source, destination: to.host, port: to.port },
  }
}
