import { cite, formatDiagnostic } from '../base/problem.ts'
import type { Check, Inspected, LostExtension, PairCheck, Suffering } from './check.ts'
import type { FirewallConfig } from './config.ts'
import { lossesOf } from './losses.ts'

/** A check as people read it. */
export function sayCheck(config: FirewallConfig, { pairs, warnings, notEnforced }: Check): readonly string[] {
  const { product, version, ports } = config
  const named = ports.interfaces.map(({ name, level }) => `${name} (${level})`).join(', ')
  return [
    `${config.hostname}: ${product}${version === undefined ? '' : ` ${version}`}, interfaces ${named || 'none'}`,
    ...pairs.flatMap((pair, i) => ['', ...sayPair(pair, pairs.slice(0, i))]),
    ...(warnings.length > 0 ? ['', 'Look at'] : []),
    ...warnings.flatMap(each => formatDiagnostic(each).split('\n')).map(line => `   ${line}`),
    ...(notEnforced.length > 0 ? ['', `Not enforced here (${notEnforced.length} lines, kept and shown)`] : []),
    ...notEnforced.map(line => `   ${line}`),
  ]
}

function sayPair(
  { from, to, direction, open, closed, inspected }: PairCheck,
  before: readonly PairCheck[],
): readonly string[] {
  const head = `${from.name} to ${to.name}, ${direction}`
  if (open.length === 0) return [`${head}: closed, ${closed ?? 'nothing leads there'}`]
  const ways = open.slice(0, MOST_SHOWN).map(({ by, at, caller }) => {
    return item('open', at ? `${cite(at)}: ${by}  (${caller.destination} port ${caller.port})` : by)
  })
  const more = open.length > MOST_SHOWN ? [item('', `and ${open.length - MOST_SHOWN} more`)] : []
  if (!inspected) return [`${head}: mail passes as it is`, ...ways, ...more]
  const told = before.find(each => each.open.length > 0 && each.inspected?.because === inspected.because)
  if (told) return [`${head}: ${inspected.policy}, as from ${told.from.name} to ${told.to.name}`, ...ways, ...more]
  return [`${head}: ${inspected.policy}`, ...ways, ...more, ...sayInspected(inspected)]
}

const MOST_SHOWN = 5

function item(name: string, what: string): string {
  return `   ${name.padEnd(9)} ${what}`
}

function sayInspected({ because, banner, passes, lost, suffers }: Inspected): readonly string[] {
  return [
    item('because', `${cite(because.at)}: ${because.command}`),
    ...(banner === undefined ? [] : [item('banner', banner)]),
    item('passes', passes.length > 0 ? passes.join(' ') : 'no extension'),
    ...byReason(lost).flatMap(({ keywords, cures, first }) => [
      item('lost', keywords.join(' ')),
      item('', `by ${cite(first.because.cause.at)}: ${first.because.cause.command} (${first.because.reason})`),
      ...keywords.flatMap(keyword => missed(keyword)),
      ...[...cures].map(cure => item('', `cure: ${cure}`)),
    ]),
    ...[...Map.groupBy(suffers, ({ what, felt }) => `${what}: ${felt}`)].flatMap(([said, [first, ...more]]) =>
      first
        ? [item(first.isAnswered ? 'refuses' : 'suffers', said), item('', sayCause(first.because, more.length))]
        : [],
    ),
    item('cure', because.cure),
  ]
}

/** Of several lines of one kind the first stands for them. */
function sayCause({ cause }: Suffering['because'], more: number): string {
  const others = more === 0 ? '' : ` (and ${more} more like it)`
  return `by ${cite(cause.at)}: ${cause.command}; cure: ${cause.cure}${others}`
}

function missed(keyword: string): readonly string[] {
  return lossesOf('keyword', keyword).map(({ what, felt }) => item('', `${keyword}: ${what}; ${felt}`))
}

/** What one line takes, together. */
function byReason(lost: readonly LostExtension[]) {
  const groups = new Map<
    string,
    { readonly keywords: string[]; readonly cures: Set<string>; readonly first: LostExtension }
  >()
  for (const each of lost) {
    const { cause, reason } = each.because
    const key = `${cite(cause.at)} ${cause.command} ${reason}`
    const group = groups.get(key) ?? { keywords: [], cures: new Set<string>(), first: each }
    group.keywords.push(each.keyword)
    group.cures.add(cause.cure)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** A check as programs read it: the same, with places as `file:line`. */
export function checkJson(config: FirewallConfig, { pairs, warnings, notEnforced }: Check): unknown {
  return {
    hostname: config.hostname,
    product: config.product,
    ...(config.version !== undefined && { version: config.version }),
    pairs: pairs.map(({ from, to, direction, open, closed, inspected }) => ({
      from: from.name,
      to: to.name,
      direction,
      open: open.map(({ by, at, caller }) => ({ by, ...(at && { at: cite(at) }), ...caller })),
      ...(closed !== undefined && { closed }),
      ...(inspected && { inspected: inspectedJson(inspected) }),
    })),
    warnings: warnings.map(({ message, hint, at }) => ({
      message,
      ...(hint && { hint }),
      ...(at && { at: cite(at) }),
    })),
    notEnforced,
  }
}

function inspectedJson({ policy, because, banner, passes, lost, suffers }: Inspected): unknown {
  return {
    policy,
    at: cite(because.at),
    command: because.command,
    cure: because.cure,
    ...(banner !== undefined && { banner }),
    passes,
    lost: lost.map(({ keyword, because: { cause, reason } }) => ({
      keyword,
      at: cite(cause.at),
      command: cause.command,
      cure: cause.cure,
      reason,
      missed: lossesOf('keyword', keyword).map(({ what, felt }) => ({ what, felt })),
    })),
    suffers: suffers.map(({ what, felt, because: { cause } }) => ({
      what,
      felt,
      at: cite(cause.at),
      command: cause.command,
      cure: cause.cure,
    })),
  }
}
