/** The parameters that RFC 3492 §5 chose for domain names. */
const BASE = 36
const [T_MIN, T_MAX] = [1, 26]
const [SKEW, DAMP] = [38, 700]
const FIRST_BIAS = 72
const FIRST_POINT = 0x80
const DIGITS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/**
 * Any text in letters, digits and what of it is ASCII already (RFC 3492 §6.3); nothing is mapped, and no text has the form
 * of another. The work grows with the square of its length.
 */
export function punycode(text: string): string {
  const points = Array.from(text, char => char.codePointAt(0) ?? 0)
  const basic = points.filter(point => point < FIRST_POINT)
  let encoded = String.fromCharCode(...basic) + (basic.length > 0 ? '-' : '')
  let [from, delta, bias, done] = [FIRST_POINT, 0, FIRST_BIAS, basic.length]
  const others = new Set(points.filter(point => point >= FIRST_POINT).sort((a, b) => a - b))
  for (const next of others) {
    delta += (next - from) * (done + 1)
    for (const point of points) {
      if (point < next) delta++
      if (point !== next) continue
      encoded += variable(delta, bias)
      bias = adapted(delta, ++done, done - 1 === basic.length)
      delta = 0
    }
    delta++
    from = next + 1
  }
  return encoded
}

/** A number in digits of which each says whether another follows. */
function variable(value: number, bias: number): string {
  let [left, digits] = [value, '']
  for (let place = BASE; ; place += BASE) {
    const least = Math.min(Math.max(place - bias, T_MIN), T_MAX)
    if (left < least) return digits + DIGITS[left]
    digits += DIGITS[least + ((left - least) % (BASE - least))]
    left = Math.floor((left - least) / (BASE - least))
  }
}

function adapted(delta: number, points: number, isFirst: boolean): number {
  let left = Math.floor(delta / (isFirst ? DAMP : 2))
  left += Math.floor(left / points)
  let bias = 0
  for (; left > ((BASE - T_MIN) * T_MAX) / 2; bias += BASE) left = Math.floor(left / (BASE - T_MIN))
  return bias + Math.floor(((BASE - T_MIN + 1) * left) / (left + SKEW))
}
