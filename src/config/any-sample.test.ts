/** Random configurations of the sample, and random lines. The name keeps it out of the published package. */

import fc from 'fast-check'
import { PORTS } from './argument.ts'
import { formatIpv4, formatIpv6 } from './ip.ts'
import { type Address, type Entry, SAMPLE, type Sample, type Static } from './sample.test.ts'
import { showLines } from './show.ts'

const anyName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_./+-]{0,8}$/)
const anyIp = fc.oneof(
  fc.nat(2 ** 32 - 1).map(formatIpv4),
  fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 }).map(formatIpv6),
)
const anyMask = fc.nat(32).map(length => formatIpv4(2 ** 32 - 2 ** (32 - length)))
const anyEnds = fc.option(fc.record({ ip: anyIp, mask: anyMask }, { requiredKeys: ['ip'] }), { nil: undefined })
const anyPorts = fc
  .tuple(fc.integer({ min: 1, max: 65_535 }), fc.nat(9))
  .map(([from, more]) => ({ from, to: Math.min(65_535, from + more) }))
const anyEntry: fc.Arbitrary<Entry> = fc.record(
  {
    list: anyName,
    action: fc.constantFrom('permit', 'deny'),
    protocol: fc.constantFrom('tcp', 'udp', 'ip'),
    source: anyEnds,
    target: anyEnds,
    port: fc.integer({ min: 1, max: 65_535 }),
  },
  { requiredKeys: ['list', 'action', 'protocol', 'source', 'target'] },
)

function anyStatic(names: readonly string[]): fc.Arbitrary<Static> {
  const name = fc.constantFrom(...names)
  const numbers = fc.constantFrom({}, { max: 0 }, { max: 10, embryonic: 20 })
  const needed = { real: name, mapped: name, mappedIp: anyIp, realIp: anyIp, mask: anyMask }
  return fc
    .tuple(fc.record(needed, { requiredKeys: ['real', 'mapped', 'mappedIp', 'realIp'] }), numbers)
    .map(([one, more]) => ({ ...one, ...more }))
}

/** Any configuration that the language can say. */
export const anySample: fc.Arbitrary<Sample> = fc
  .uniqueArray(anyName, { minLength: 1, maxLength: 4 })
  .chain(names => {
    const hardware = names.map((name, i) => ({ hardware: `ethernet${i}`, name }))
    const levels = fc.array(fc.nat(100), { minLength: names.length, maxLength: names.length })
    const address: fc.Arbitrary<Address> = fc.oneof(
      fc.record({ kind: fc.constant('dhcp' as const), name: fc.constantFrom(...names) }),
      fc.record({ kind: fc.constant('fixed' as const), name: fc.constantFrom(...names), ip: anyIp, mask: anyMask }),
    )
    return fc.record(
      {
        interfaces: levels.map(levels => hardware.map((each, i) => ({ ...each, level: levels[i] ?? 0 }))),
        addresses: fc.uniqueArray(address, { maxLength: 3, selector: ({ name }) => name }),
        inspections: fc.uniqueArray(anyPorts, { maxLength: 3, selector: PORTS.show }),
        lists: fc.array(anyEntry, { maxLength: 5 }),
        statics: fc.uniqueArray(anyStatic(names), { maxLength: 3, selector: each => each.mappedIp + each.realIp }),
        groups: fc.uniqueArray(fc.record({ list: anyName, name: fc.constantFrom(...names) }), {
          maxLength: 3,
          selector: ({ list, name }) => `${list} ${name}`,
        }),
        hostname: anyName,
        banner: fc.string({ unit: fc.constantFrom(...'ab"\\ !:#?') }),
      },
      { requiredKeys: ['interfaces', 'addresses', 'inspections', 'lists', 'statics', 'groups'] },
    )
  })
  // Records of fast-check have no prototype, and strict equality would mind.
  .map(config => structuredClone(config))

/** The beginning of a line that is right, with or without `no` before it. */
const anyBeginning: fc.Arbitrary<string> = anySample.chain(config => {
  const lines = showLines(SAMPLE, config)
  return fc
    .tuple(fc.constantFrom('', 'no '), fc.constantFrom(...lines), fc.nat(100))
    .map(([no, line, length]) => (no + line).slice(0, length))
})

/** Lines that are almost, or quite, of the language: where mistakes are likeliest to hide. */
export const anyTyped: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary' }),
  anyBeginning,
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...SAMPLE.commands.flatMap(({ syntax }) => syntax.split(/[ |{}[\]]+/)),
          ...[
            'no',
            'no',
            'any',
            '10.0.0.1',
            '255.255.0.0',
            '(a,b)',
            '(a',
            '25',
            'smtp',
            '"',
            '"x y"',
            '?',
            '!',
            '\t',
            '::',
          ],
        ),
        fc.string({ maxLength: 4 }),
      ),
      { maxLength: 14 },
    )
    .chain(words => fc.constantFrom(words.join(' '), `${words.join(' ')} `, words.join('\n'), words.join(''))),
)
