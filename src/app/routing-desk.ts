/** What may be asked about routing, of files or of what runs, and the answer as lines. */
import { PosternError } from '../base/problem.ts'
import type { Instant } from '../base/time.ts'
import { readFrame, writeFrame } from '../routing/frame.ts'
import { differences, type Guid, type LinkStateTable } from '../routing/link-state.ts'
import {
  diffFacts,
  diffLines,
  dotOf,
  explainFacts,
  explainLines,
  type Named,
  namesOf,
  showFacts,
  showLines,
  spaceRoutes,
  svgOf,
  tableFacts,
  tableLines,
} from '../routing/report.ts'
import type { Letter } from '../routing/route.ts'
import type { RoutingService } from '../routing/service.ts'
import { parseMailbox } from '../smtp/address.ts'

export interface RoutingQuestion {
  /** `dump`: the table in a frame, and the names, for who compares two. */
  readonly what: 'explain' | 'table' | 'show' | 'dump'
  readonly form: 'text' | 'json' | 'dot' | 'svg'
  readonly to?: string
  readonly from?: string
  readonly size?: number
}

export interface RoutingSubject {
  readonly service: RoutingService
  readonly names: ReadonlyMap<Guid, string>
}

/** Reads a question that came over a socket; `undefined` for anything else. */
export function readQuestion(text: string): RoutingQuestion | undefined {
  try {
    const { what, form, to, from, size } = JSON.parse(text) as Readonly<Record<string, unknown>>
    const isKnown = ['explain', 'table', 'show', 'dump'].includes(what as string)
    if (!isKnown || !['text', 'json', 'dot', 'svg'].includes(form as string)) return undefined
    return {
      what: what as RoutingQuestion['what'],
      form: form as RoutingQuestion['form'],
      ...(typeof to === 'string' && { to }),
      ...(typeof from === 'string' && { from }),
      ...(typeof size === 'number' && { size }),
    }
  } catch {
    return undefined
  }
}

/** Throws a `PosternError` for an address that is none. */
export function answerRouting(
  { service, names }: RoutingSubject,
  question: RoutingQuestion,
  now: Instant,
): readonly string[] {
  const { table, digest } = service.engine
  const named: Named = { table, names }
  const name = namesOf(named)
  const { what, form } = question
  if (what === 'dump') return [writeFrame({ kind: 'orginfo', digest, groups: table }), JSON.stringify([...names])]
  if (form === 'dot') return dotOf(named)
  if (form === 'svg') return svgOf(named)
  if (what === 'show') return form === 'json' ? [JSON.stringify(showFacts(named, digest))] : showLines(named, digest)
  if (what === 'table') {
    const routes = spaceRoutes(table, to => service.route({ to }, now))
    return form === 'json' ? [JSON.stringify(tableFacts(routes, name))] : tableLines(routes, name)
  }
  const explanation = service.explain(letterOf(question), now)
  return form === 'json' ? [JSON.stringify(explainFacts(explanation, name))] : explainLines(explanation, name)
}

function letterOf({ to = '', from, size }: RoutingQuestion): Letter {
  return {
    to: mailbox(to),
    ...(from !== undefined && { from: from === '<>' || from === '' ? null : mailbox(from), isSystem: from === '<>' }),
    ...(size !== undefined && { size }),
  }
}

function mailbox(text: string) {
  const read = parseMailbox(text)
  if (!('wrong' in read) && read.domain !== '') return read
  const why = 'wrong' in read ? read.wrong : 'it has no domain'
  throw new PosternError('POSTERN_MISUSE', `"${text}" is no address: ${why}`, { side: 'us', retry: 'never' })
}

/** What `dump` answered. */
export function readDump([frame = '', names = '[]']: readonly string[]): Named {
  const read = readFrame(frame)
  const table: LinkStateTable = 'frame' in read && read.frame.kind === 'orginfo' ? read.frame.groups : []
  return { table, names: new Map(JSON.parse(names) as [Guid, string][]) }
}

/** How two tables differ; `same`: not at all. */
export function compareTables(
  ours: Named,
  theirs: Named,
  form: 'text' | 'json',
): { readonly lines: readonly string[]; readonly same: boolean } {
  const found = differences(ours.table, theirs.table)
  const name = namesOf({ names: new Map([...theirs.names, ...ours.names]) })
  const lines = form === 'json' ? [JSON.stringify(diffFacts(found, name))] : diffLines(found, name)
  return { lines, same: found.length === 0 }
}
