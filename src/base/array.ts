/** The first, taken out. Mostly it is the only one, which costs less to take from the end. */
export function takeFirst<T>(array: T[]): T | undefined {
  return array.length === 1 ? array.pop() : array.shift()
}
