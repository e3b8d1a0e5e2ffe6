/**
 * Comparing fairly: subjects take turns (A B C, A B C, …), so that what the machine does meanwhile falls on all alike; what
 * is told of each is the median with the smallest and the largest.
 */
import { cpus, release, totalmem, type } from 'node:os'

export interface Bench {
  /** One line, for the list. */
  readonly description: string
  /** In the order they run. */
  readonly subjects: readonly string[]
  readonly cases: readonly string[]
  readonly run: (order: Order) => Promise<Report>
}

/** What was asked for. */
export interface Order {
  readonly quick: boolean
  readonly subjects: readonly string[]
  readonly cases: readonly string[]
  /** Tells of progress. */
  readonly note: (line: string) => void
}

export interface Metric {
  readonly name: string
  readonly unit: string
  /** Which way is good; a metric without it gets no ratio. */
  readonly better?: 'less' | 'more'
}

/** What one run of one subject gave, by the metric's name. A subject need not have every metric. */
export type Sample = Readonly<Record<string, number>>

export interface CaseReport {
  readonly name: string
  readonly title: string
  /** By subject; the n-th samples of all were taken in the same round. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>
}

export interface Report {
  readonly metrics: readonly Metric[]
  /** The subjects that are compared, and those that each of them is compared with. */
  readonly ours: readonly string[]
  readonly peers: readonly string[]
  readonly cases: readonly CaseReport[]
  /** What ran, with versions. */
  readonly versions: readonly string[]
}

export interface Row {
  readonly case: string
  readonly subject: string
  readonly metric: string
  readonly value: number
  readonly unit: string
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Each subject once a round, in the order given, `rounds` times. */
export async function alternate(
  subjects: readonly string[],
  rounds: number,
  measure: (subject: string, round: number) => Promise<Sample>,
): Promise<ReadonlyMap<string, readonly Sample[]>> {
  const samples = new Map<string, Sample[]>(subjects.map(subject => [subject, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const [subject, taken] of samples) taken.push(await measure(subject, round))
  }
  return samples
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const above = sorted[sorted.length >> 1]
  const below = sorted[(sorted.length - 1) >> 1]
  if (above === undefined || below === undefined) throw new RangeError('no median of no values')
  return (below + above) / 2
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** How many times better `ours` is: above 1 = faster or cheaper than `theirs`. */
export function ratio(ours: number, theirs: number, better: 'less' | 'more'): number {
  if (!(ours > 0 && theirs > 0)) throw new RangeError(`no ratio of ${ours} and ${theirs}: too short to measure`)
  return better === 'less' ? theirs / ours : ours / theirs
}

/** Ratios of the samples taken in the same round: what slowed down a whole round cancels out. */
export function pairedRatios(ours: readonly Sample[], theirs: readonly Sample[], metric: Metric): readonly number[] {
  const { name, better } = metric
  if (!better) return []
  return ours.flatMap((sample, round) => {
    const [a, b] = [sample[name], theirs[round]?.[name]]
    return a === undefined || b === undefined ? [] : [ratio(a, b, better)]
  })
}

/** One row for every case, subject and metric that was measured: the median. */
export function rows({ metrics, cases }: Report): readonly Row[] {
  return cases.flatMap(({ name, samples }) =>
    [...samples].flatMap(([subject, taken]) =>
      metrics.flatMap(metric => {
        const values = of(taken, metric)
        if (values.length === 0) return []
        return [{ case: name, subject, metric: metric.name, value: rounded(median(values)), unit: metric.unit }]
      }),
    ),
  )
}

/** `OURS/PEER CASE METRIC` → the median of the paired ratios. */
export function ratios({ metrics, ours, peers, cases }: Report): Readonly<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const { name, samples } of cases) {
    for (const [our, peer] of pairs(ours, peers)) {
      for (const metric of metrics) {
        const paired = pairedRatios(samples.get(our) ?? [], samples.get(peer) ?? [], metric)
        if (paired.length > 0) found[`${our}/${peer} ${name} ${metric.name}`] = rounded(median(paired))
      }
    }
  }
  return found
}

/** The report for people: what ran on what, then two tables a case. */
export function print(report: Report): string {
  return [
    `machine: ${machine()}`,
    `ran: ${report.versions.join(', ')}`,
    ...report.cases.map(each => printCase(each, report)),
  ].join('\n\n')
}

function printCase({ name, title, samples }: CaseReport, { metrics, ours, peers }: Report): string {
  const all = [...samples.values()].flat()
  const measured = metrics.filter(({ name }) => all.some(sample => sample[name] !== undefined))
  const figures = table([
    ['', ...measured.map(({ name, unit }) => `${name}, ${unit}`)],
    ...[...samples].map(([subject, taken]) => [subject, ...measured.map(metric => cell(of(taken, metric)))]),
  ])
  const compared = measured.filter(({ better }) => better)
  const isRated = (subject: string): boolean =>
    compared.some(metric => of(samples.get(subject) ?? [], metric).length > 0)
  const both = pairs(ours, peers).filter(pair => pair.every(isRated))
  const ratios = table([
    ['', ...compared.map(({ name }) => name)],
    ...both.map(([our, peer]) => [
      `${our}/${peer}`,
      ...compared.map(metric => cell(pairedRatios(samples.get(our) ?? [], samples.get(peer) ?? [], metric))),
    ]),
  ])
  const rounds = Math.max(...[...samples.values()].map(taken => taken.length))
  const heading = `${name}: ${title}; ${rounds === 1 ? '1 round' : `${rounds} rounds, median (least–most)`}`
  return both.length === 0 || compared.length === 0
    ? `${heading}\n${figures}`
    : `${heading}\n${figures}\n\nratios, above 1 = the first of the two is cheaper or faster\n${ratios}`
}

function pairs(ours: readonly string[], peers: readonly string[]): readonly (readonly [our: string, peer: string])[] {
  return ours.flatMap(our => peers.map(peer => [our, peer] as const))
}

/** Lines up the columns: the first to the left, the others to the right. */
export function table(lines: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const line of lines)
    line.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, cell.length)
    })
  return lines
    .map(line => {
      const cells = line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      return `  ${cells.join('   ')}`.trimEnd()
    })
    .join('\n')
}

/** Three digits that count, and no fraction from a hundred on: `0.0123`, `4.56`, `12,345`. */
export function figure(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(3)
}

function cell(values: readonly number[]): string {
  if (values.length === 0) return '–'
  const { median, min, max } = spread(values)
  return `${figure(median)} (${figure(min)}–${figure(max)})`
}

function of(samples: readonly Sample[], { name }: Metric): readonly number[] {
  return samples.flatMap(sample => sample[name] ?? [])
}

function rounded(value: number): number {
  return Number(value.toPrecision(5))
}

function machine(): string {
  const all = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${all.length} × ${all[0]?.model.trim() ?? 'unknown CPU'}, ${memory} GiB, ${type()} ${release()}`
}
