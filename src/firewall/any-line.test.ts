/** Random lines of the firewall's own language, from its syntax. The name keeps it out of the published package. */
import fc from 'fast-check'
import { END, type Pattern, patternsOf } from '../config/pattern.ts'
import { FIREWALL } from './commands.ts'
import type { FirewallConfig } from './config.ts'

/** Words of each kind of placeholder, right and wrong. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  ip: ['10.54.7.10', '192.0.2.10', '2001:db8::1'],
  ipv4: ['10.54.7.10', '2001:db8::1'],
  mask: ['255.255.255.0', '255.255.255.255', '0.0.0.0'],
  prefix: ['2001:db8::/32', '::/0'],
  port: ['smtp', '2525'],
  ports: ['25', '25-26'],
  word: ['tcp', 'x', '"a b"', '6.1(1)', 'SIZE', 'x-exps', '*.exe'],
  duration: ['30s', '10m'],
  size: ['10m', '1'],
  name: ['outside', 'inside', 'a', 'b'],
  number: ['0', '1', '512'],
  level: ['0', '100'],
  security: ['security0', 'security100'],
  domain: ['b.example'],
  text: ['esmtp', '0 0', 'ehlo mail', 'log'],
}

/** One way through a syntax: at each step the choice that `choices` says. */
function lineOf({ steps, first, follow }: Pattern<FirewallConfig>, choices: readonly number[]): string {
  const words: string[] = []
  let next = first
  for (let i = 0; i < 40; i++) {
    const choice = choices[i % choices.length] ?? 0
    const index = next[choice % next.length] ?? END
    const step = steps[index]
    if (!step) break
    if (step.kind === 'word') words.push(step.word)
    else {
      const pieces = step.parts.map(part => {
        if (part.kind === 'mark') return part.text
        const values = VALUES[part.argument.name] ?? ['x']
        return values[choice % values.length] ?? 'x'
      })
      words.push(pieces.join(''))
    }
    next = follow[index] ?? []
  }
  return words.join(' ')
}

const { doing, undoing, inner } = patternsOf(FIREWALL)
const MODES: readonly (string | undefined)[] = [undefined, ...inner.keys()]

function patternsIn(mode: string | undefined, isNo: boolean): readonly Pattern<FirewallConfig>[] {
  const patterns = mode === undefined ? { doing, undoing } : inner.get(mode)
  return (isNo ? patterns?.undoing : patterns?.doing) ?? []
}

const anyChoices = fc.array(fc.nat(11), { minLength: 1, maxLength: 12 })

/** A line of any mode, indented as deep as may be. */
export const anyFirewallLine: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom(...MODES), fc.boolean(), fc.nat(999), anyChoices)
  .map(([mode, isNo, which, choices]) => {
    const patterns = patternsIn(mode, isNo && which % 2 === 0)
    const pattern = patterns[which % patterns.length]
    const no = isNo && which % 2 === 0 ? 'no ' : ''
    return pattern ? `${mode === undefined ? '' : ' '}${no}${lineOf(pattern, choices)}` : ''
  })
