/** A point in time: milliseconds since 1970-01-01T00:00:00Z. The core is told it, and never asks. */
export type Instant = number & { readonly __kind?: 'Instant' }

/** A length of time, in milliseconds. */
export type Duration = number & { readonly __kind?: 'Duration' }

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const

/** Reads `250ms`, `5s`, `10m`, `12h`, `2d`; `undefined` for anything else. */
export function parseDuration(text: string): Duration | undefined {
  const found = /^(\d{1,9})(ms|[smhd])$/.exec(text)
  const unit = UNITS.find(([name]) => name === found?.[2])
  return found && unit ? Number(found[1]) * unit[1] : undefined
}

/** Writes a duration with the largest unit that leaves no remainder, so that `parseDuration` reads it back. */
export function formatDuration(duration: Duration): string {
  const [name, size] = UNITS.find(([, each]) => duration % each === 0 && duration >= each) ?? ['ms', 1]
  return `${duration / size}${name}`
}

/** For people: the two largest units that matter, `1h 5m`, `2.0s`, `12ms`. */
export function sayDuration(duration: Duration): string {
  if (duration < 1_000) return `${Math.round(duration)}ms`
  if (duration < 60_000) return `${(duration / 1_000).toFixed(1)}s`
  const words: string[] = []
  let rest = Math.round(duration / 1_000) * 1_000
  for (const [name, size] of UNITS) {
    const count = Math.floor(rest / size)
    if (count > 0 && words.length < 2) words.push(`${count}${name}`)
    rest %= size
  }
  return words.join(' ')
}
