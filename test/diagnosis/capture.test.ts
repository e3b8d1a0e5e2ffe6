/** What a capture shows is what was said, on whatever link, in whatever order; and a hostile one is a clear error. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { diagnoseFile } from '../../src/app/evidence.ts'
import { runs } from '../../src/base/any-bytes.test.ts'
import { bytes, concat } from '../../src/base/bytes.ts'
import { PosternError } from '../../src/base/problem.ts'
import { readCapture } from '../../src/io/connections.ts'
import { ENDS, type Frame, frames, LINKS, pcap, pcapng, records } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-capture-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0

function file(octets: Uint8Array): string {
  const path = join(folder, `${++files}.pcap`)
  writeFileSync(path, octets)
  return path
}

const said = (by: 'C' | 'S', words: string) => ({ by, octets: bytes(`${words}\r\n`) })

const PIX = [
  said('S', '220 *********************************0*2****2*******************2***'),
  said('C', 'EHLO a.example'),
  said('S', '500 5.5.1 Command unrecognized: "XXXX a.example"'),
  said('C', 'HELO a.example'),
  said('S', '250 mail.domainname.com Hello [10.53.7.203]'),
  said('C', 'MAIL FROM:<a@a.example>'),
  said('S', '250 2.1.0 Ok'),
  said('C', 'DATA'),
  said('S', '354 Go ahead'),
  said('C', 'Subject: x\r\n\r\n220 no reply\r\n.'),
  said('S', '250 2.0.0 Queued'),
  said('C', 'QUIT'),
  said('S', '221 Bye'),
]

function heard(octets: Uint8Array): readonly string[] {
  const { connections } = readCapture(file(octets))
  return connections.flatMap(({ exchanges }) => exchanges.map(each => `${each.said}${each.heard.join('|')}`))
}

const WHOLE = heard(pcap('ethernet', frames(PIX)))

test('the dialogue is cut into what was said and what was answered, the message too', () => {
  assert.deepEqual(WHOLE, [
    '220 *********************************0*2****2*******************2***',
    'EHLO a.example\r\n500 5.5.1 Command unrecognized: "XXXX a.example"',
    'HELO a.example\r\n250 mail.domainname.com Hello [10.53.7.203]',
    'MAIL FROM:<a@a.example>\r\n250 2.1.0 Ok',
    'DATA\r\n354 Go ahead',
    'Subject: x\r\n\r\n220 no reply\r\n.\r\n250 2.0.0 Queued',
    'QUIT\r\n221 Bye',
  ])
})

for (const link of LINKS) {
  test(`${link}, pcap and pcapng, IPv4 and IPv6: the same`, () => {
    for (const v6 of [false, true]) {
      const ends = { client: 40_000, server: 25, v6 }
      assert.deepEqual(heard(pcap(link, frames(PIX), ends)), WHOLE)
      assert.deepEqual(heard(pcapng(link, frames(PIX), ends)), WHOLE)
    }
  })
}

test('the verdict is that of the story', () => {
  const [found] = diagnoseFile(file(pcap('sll2', frames(PIX))))
  assert.equal(found?.diagnosis.outcome, 'altered')
  assert.match(found?.diagnosis.suspects[0]?.name ?? '', /Cisco PIX 5\.1-6\.x MailGuard/)
  assert.equal(found?.diagnosis.target, '192.0.2.10:25')
})

test('on a firewall that routes, the two interfaces have the two sides of it: compared, and proven', () => {
  const greeting = '220 mail.domainname.com Microsoft ESMTP MAIL Service, Version: 5.0'
  const inside = PIX.map(({ by, octets }, i) => {
    if (i === 0) return said('S', greeting)
    return i === 1 ? said('C', 'XXXX a.example') : { by, octets }
  })
  const outside = PIX.map((piece, i) => (i === 0 ? said('S', `220 ${'*'.repeat(greeting.length - 5)}0`) : piece))
  const [near, far] = [
    records('sll2', frames(outside), { ...ENDS, port: 2 }),
    records('sll2', frames(inside), { ...ENDS, port: 3 }),
  ]
  const mixed = near.flatMap((record, i) => [record, far[i] ?? new Uint8Array(0)])
  const found = diagnoseFile(file(concat([pcap('sll2', []), ...mixed])))
  assert.equal(found.length, 1)
  const { alterations, suspects, outcome } = found[0]?.diagnosis ?? assert.fail()
  assert.equal(outcome, 'altered')
  assert.deepEqual(
    alterations.map(({ kind, before, grade }) => [kind, before, grade]),
    [
      ['greeting', greeting, 'proven'],
      ['verb', 'EHLO a.example', 'proven'],
    ],
  )
  assert.match(suspects[0]?.name ?? '', /^Cisco PIX 5\.1-6\.x/)
})

test('reordered within a window, retransmitted and cut anywhere, it is the same dialogue', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(7), { minLength: 4, maxLength: 40 }),
      fc.integer({ min: 1, max: 40 }),
      (moves, size) => {
        const cut = PIX.flatMap(({ by, octets }) =>
          Array.from({ length: Math.ceil(octets.length / size) }, (_, i) => ({
            by,
            octets: octets.subarray(i * size, (i + 1) * size),
          })),
        )
        const all = [...frames(cut)]
        // The segments of one side among themselves: which side spoke first cannot be learned from a shuffled file.
        for (const [i, move] of moves.entries()) {
          const at = 2 + ((i * 7) % Math.max(1, all.length - 6))
          const [a, b] = [all[at], all[at + 1]]
          if (a && b && a.by === b.by && move % 2 === 0) [all[at], all[at + 1]] = [b, a]
          else if (a && move === 3) all.splice(at + 1, 0, a)
        }
        assert.deepEqual(heard(pcap('ethernet', all)), WHOLE)
      },
    ),
    runs(60),
  )
})

test('a segment that is missing is told, and nobody is accused of it', () => {
  const all = frames(PIX).filter((_, i) => i !== 5)
  const path = file(pcap('ethernet', all))
  const { connections, notes } = readCapture(path)
  assert.equal(connections[0]?.lost, 16)
  assert.match(notes.join('\n'), /the capture lacks 16 octets/)
})

test('a capture that cut packets short says so', () => {
  const all = frames(PIX).map((frame): Frame => (frame.payload.length > 40 ? { ...frame, kept: 20 } : frame))
  assert.match(readCapture(file(pcap('ethernet', all))).notes.join('\n'), /the capture lacks \d+ octets/)
})

test('a file that ends early is read as far as it goes; one that is none is a clear error', () => {
  const whole = pcap('ethernet', frames(PIX))
  assert.match(
    readCapture(file(whole.subarray(0, whole.length - 30))).notes.join('\n'),
    /ends in the middle of a packet/,
  )
  assert.throws(() => diagnoseFile(file(bytes('nothing of the kind'))), PosternError)
  assert.throws(() => diagnoseFile(join(folder, 'none')), /there is no such file/)
})

test('hostile captures never crash, hang or grow', () => {
  const seeds = [pcap('ethernet', frames(PIX)), pcapng('sll2', frames(PIX)), pcap('raw', frames(PIX))]
  fc.assert(
    fc.property(
      fc.nat(seeds.length - 1),
      fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { maxLength: 30 }),
      fc.nat(3000),
      (which, changes, length) => {
        const octets = (seeds[which] ?? new Uint8Array()).slice(0, Math.max(4, length))
        for (const [at, value] of changes) if (at >= 4) octets[at % octets.length] = value
        try {
          diagnoseFile(file(octets))
        } catch (cause) {
          assert.ok(cause instanceof PosternError, String(cause))
        }
      },
    ),
    runs(300),
  )
})
