/** What may be asked about routing, of files or of what runs, and the answer as lines. */
import { PosternError } from '../base/problem.ts'
import type { Instant } from '../base/time.ts'
import type { ControlAnswer } from '../io/control.ts'
import type { Target } from '../routing/connector.ts'
import { readFrame, writeFrame } from '../routing/frame.ts'
import { differences, type Guid, type LinkStateTable } from '../routing/link-state.ts'
import {
  diffFacts,
  diffLines,
  dotOf,
  explainFacts,
  explainLines,
  type Handing,
  type Named,
  namesOf,
  type Standing,
  showFacts,
  showLines,
  spaceRoutes,
  svgOf,
  tableFacts,
  tableLines,
} from '../routing/report.ts'
import type { Letter, Route } from '../routing/route.ts'
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

/** An answer, in the form that was asked for; `kind`: what becomes of the letter that it explains, or that it tells of none. */
export interface RoutingAnswer {
  readonly kind: Route['kind'] | 'told'
  readonly lines: readonly string[]
}

export interface RoutingSubject {
  readonly service: RoutingService
  readonly names: ReadonlyMap<Guid, string>
  /** Does its group's master hear it? Nothing where it does not try. */
  readonly isAttached?: boolean | undefined
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
export function answerRouting(subject: RoutingSubject, question: RoutingQuestion, now: Instant): RoutingAnswer {
  const { service, names } = subject
  const { table, digest } = service.engine
  const named: Named = { table, names, servers: service.servers }
  const here = standingOf(subject)
  const name = namesOf(named)
  const { what, form } = question
  /** In its form, or as the picture of all groups, whatever it is about. */
  const say = (facts: () => unknown, lines: () => readonly string[]): readonly string[] => {
    if (form === 'dot') return dotOf(named)
    if (form === 'svg') return svgOf(named)
    return form === 'json' ? [JSON.stringify(facts())] : lines()
  }
  switch (what) {
    case 'dump':
      return {
        kind: 'told',
        lines: [writeFrame({ kind: 'orginfo', digest, groups: table }), JSON.stringify([...names])],
      }
    case 'show':
      return {
        kind: 'told',
        lines: say(
          () => showFacts(named, digest, here),
          () => showLines(named, digest, here),
        ),
      }
    case 'table': {
      const routes = spaceRoutes(table, to => service.route({ to }, now))
      return {
        kind: 'told',
        lines: say(
          () => tableFacts(routes, name),
          () => tableLines(routes, name),
        ),
      }
    }
    default: {
      const explanation = service.explain(letterOf(question), now)
      const tries = handings(service, explanation.route)
      return {
        kind: explanation.route.kind,
        lines: say(
          () => explainFacts(explanation, name, tries),
          () => explainLines(explanation, name, tries),
        ),
      }
    }
  }
}

/** As a control socket answers. */
export function toldOf({ kind, lines }: RoutingAnswer): ControlAnswer {
  return { answer: lines, wrong: false, kind }
}

function standingOf({ service, isAttached }: RoutingSubject): Standing {
  const { engine, servers } = service
  const { own, server, group, isMaster } = engine
  const nameOf = (of: Guid) => servers.get(of) ?? of
  const master = isMaster || !own ? {} : { master: nameOf(own.master) }
  return { server: nameOf(server), group, ...master, ...(isAttached !== undefined && { isAttached }) }
}

/** Whom a letter is handed to, in order: of use where that is not the next group alone. */
function handings(service: RoutingService, route: Route): readonly Handing[] {
  if (route.kind !== 'relay') return []
  const connector = route.bridgeheads.length === 0 ? service.connector(route.connector.connector) : undefined
  const member = connector ? undefined : service.member(route.bridgeheads)
  const tries = connector ? service.tries(connector, route.legs) : member ? [member] : []
  return tries.map(({ name, targets }) => ({ name, at: targets.map(sayTarget).join(', ') || 'as DNS says' }))
}

function sayTarget({ ip, port }: Target): string {
  return port === 25 ? ip : ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
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
