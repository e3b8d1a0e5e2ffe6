/**
 * A story: steps that a person can follow, each with what it shows and what was expected of it. What a laboratory does is
 * told by `app`; this is how it is told.
 */
export interface Step {
  readonly story: string
  readonly step: number
  readonly title: string
  /** What happened, a line at a time, for people. */
  readonly lines: readonly Line[]
  readonly expectations: readonly Expectation[]
  /** The same, for programs. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** A line of a story; `how` is what a terminal may colour. */
export interface Line {
  readonly text: string
  readonly how?: 'head' | 'quiet' | 'bad' | 'good'
}

export interface Expectation {
  readonly name: string
  readonly held: boolean
  /** What was found: the reason to believe it, or what is wrong. */
  readonly found: string
}

export interface Ending {
  readonly story: string
  readonly held: number
  readonly failed: number
}

export function line(text: string, how?: Line['how']): Line {
  return how ? { text, how } : { text }
}

export function expected(name: string, held: boolean, found: string): Expectation {
  return { name, held, found }
}

export function ending(story: string, steps: readonly Step[]): Ending {
  const all = steps.flatMap(({ expectations }) => expectations)
  const held = all.filter(each => each.held).length
  return { story, held, failed: all.length - held }
}

/** `^^^^` under what differs between two texts, position by position. */
export function marks(before: string, after: string): string {
  let out = ''
  const length = Math.max(before.length, after.length)
  for (let i = 0; i < length; i++) out += before[i] === after[i] ? ' ' : '^'
  return out.trimEnd()
}

/** A text cut to a width, so that a long greeting does not break the picture. */
export function fold(text: string, width: number): readonly string[] {
  const out: string[] = []
  for (let at = 0; at < text.length || at === 0; at += width) out.push(text.slice(at, at + width))
  return out
}

/**
 * What one end said and the other heard, one under the other, with the altered octets marked; folded at `width`.
 */
export function compare(
  [saidBy, said]: readonly [string, string],
  [heardBy, heard]: readonly [string, string],
  width: number,
): readonly Line[] {
  const label = Math.max(saidBy.length, heardBy.length)
  if (said === heard)
    return [line(`${saidBy.padEnd(label)}  ${said}`), line(`${heardBy.padEnd(label)}  the same`, 'quiet')]
  const [a = [], b = [], m = []] = [said, heard, marks(said, heard)].map(text => fold(text, width))
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [
    line(`${(i === 0 ? saidBy : '').padEnd(label)}  ${a[i] ?? ''}`),
    line(`${(i === 0 ? heardBy : '').padEnd(label)}  ${b[i] ?? ''}`, 'bad'),
    line(`${''.padEnd(label)}  ${m[i] ?? ''}`, 'bad'),
  ]).flat()
}
