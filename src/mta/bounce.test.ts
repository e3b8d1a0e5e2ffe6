import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import type { Recipient } from '../mail/envelope.ts'
import type { Outcome, SpoolEntry } from '../spool/entry.ts'
import { type Bounce, bounce, delayed, returnsAll } from './bounce.ts'
import { conclude } from './work.ts'

const SATURDAY = 1_001_783_358_000
const HEADER = 'From: <alice@a.example>\r\nSubject: Are you there?\r\n'
const FACTS = {
  host: 'mail-a.a.example',
  id: 'R1',
  now: SATURDAY + 60_000,
  quoted: { what: 'header' as const, bytes: bytes(HEADER) },
}
const BOB: Recipient = { to: { local: 'bob', domain: 'b.example' } }
const DAVE: Recipient = { to: { local: 'dave', domain: 'd.example' } }

const refused = (...said: readonly string[]): Outcome => ({
  kind: 'failed',
  by: { code: 550, status: '5.1.1', text: said },
})
const EXPIRED: Outcome = { kind: 'failed', by: { status: '4.4.7', why: 'not delivered in time' } }
const RELAYED: Outcome = { kind: 'relayed', to: 'mail-b' }

function entry(
  ended: readonly (readonly [recipient: Recipient, outcome: Outcome | 'waiting'])[],
  more: Partial<SpoolEntry['envelope']> = {},
): SpoolEntry {
  return {
    id: 'E1',
    revision: 1,
    arrived: SATURDAY,
    expires: SATURDAY + 1000,
    envelope: {
      from: { local: 'alice', domain: 'a.example' },
      recipients: ended.map(([recipient]) => recipient),
      smtputf8: false,
      body: '7bit',
      ...more,
    },
    size: 10,
    recipients: ended.map(([, outcome]) =>
      outcome === 'waiting' ? { kind: 'waiting', due: 0, attempts: 1 } : { kind: 'done', at: SATURDAY, outcome },
    ),
    trail: [],
  }
}

function owed(...args: Parameters<typeof entry>): Bounce {
  const report = bounce(entry(...args), FACTS)
  assert.ok(report, 'a report is owed')
  return report
}

const said = (report: Bounce): string => text(report.body)

/** The parts of a report as a reader that knows only its boundary finds them, and the header above them. */
function parts(report: Bounce): readonly string[] {
  const whole = said(report)
  const boundary = /^Content-Type: multipart\/report; .*boundary="([^"]+)"\r$/m.exec(whole)?.[1]
  assert.ok(boundary, whole)
  const [inner, after, ...rest] = whole.split(`\r\n--${boundary}--\r\n`)
  assert.deepEqual([after, rest], ['', []], 'nothing stands behind the last boundary')
  return (inner ?? '').split(`\r\n--${boundary}\r\n`)
}

test('a report goes to the sender, and from <>, so that nobody reports a report', () => {
  const { envelope } = owed([[BOB, refused('no such user')]])
  assert.deepEqual(envelope, {
    from: null,
    recipients: [{ to: { local: 'alice', domain: 'a.example' } }],
    smtputf8: false,
    body: '8bitmime',
  })
})

test('to <> no report is ever sent', () => {
  assert.equal(bounce(entry([[BOB, refused('no')]], { from: null }), FACTS), undefined)
})

test('NOTIFY decides who is told of: NEVER nobody, FAILURE and the default are', () => {
  const told = (notify?: string) => {
    const recipient = notify === undefined ? BOB : { ...BOB, notify }
    return bounce(entry([[recipient, refused('no')]]), FACTS) !== undefined
  }
  assert.deepEqual([undefined, 'FAILURE', 'SUCCESS,FAILURE', 'NEVER', 'SUCCESS', 'DELAY'].map(told), [
    true,
    true,
    true,
    false,
    false,
    false,
  ])
})

test('of two who failed, the one with NOTIFY=NEVER is not told of', () => {
  const whole = said(
    owed([
      [{ ...BOB, notify: 'NEVER' }, refused('no')],
      [DAVE, refused('no')],
    ]),
  )
  assert.ok(!whole.includes('bob@b.example'), whole)
  assert.match(whole, /^Final-Recipient: rfc822; dave@d\.example\r$/m)
})

test('nothing is reported while a recipient waits, nor where all is well', () => {
  const one: readonly [Recipient, Outcome] = [BOB, refused('no')]
  assert.equal(bounce(entry([one, [DAVE, 'waiting']]), FACTS), undefined)
  assert.notEqual(bounce(entry([one, [DAVE, RELAYED]]), FACTS), undefined)
  assert.equal(bounce(entry([[BOB, RELAYED]]), FACTS), undefined)
})

test('a report has three parts: words, the delivery status, and the header of what failed', () => {
  const asked = { ...BOB, orcpt: 'rfc822;robert+40b.example' }
  const [top, words, status, header, ...more] = parts(
    owed(
      [
        [asked, refused('no such user')],
        [DAVE, EXPIRED],
      ],
      { envid: 'QQ+2B1' },
    ),
  )
  assert.deepEqual(more, [])
  assert.match(top ?? '', /^From: Mail Delivery System <postmaster@mail-a\.a\.example>\r\nTo: <alice@a\.example>\r\n/)
  assert.match(top ?? '', /^Date: Sat, 29 Sep 2001 17:10:18 \+0000\r$/m)
  assert.match(top ?? '', /^Auto-Submitted: auto-replied\r$/m)
  assert.match(top ?? '', /^Content-Type: multipart\/report; report-type=delivery-status; /m)
  assert.match(words ?? '', /^Content-Type: text\/plain; charset=utf-8\r\n/)
  assert.match(words ?? '', /\r\n {2}bob@b\.example\r\n {4}5\.1\.1 550 5\.1\.1 no such user\r\n/)
  // Fields of the message, a blank line, and the fields of each recipient after one more (RFC 3464 §2.1).
  assert.deepEqual(
    status?.split('\r\n\r\n').map(group => group.trimEnd()),
    [
      'Content-Type: message/delivery-status',
      'Reporting-MTA: dns; mail-a.a.example\r\nOriginal-Envelope-Id: QQ+1\r\nArrival-Date: Sat, 29 Sep 2001 17:09:18 +0000',
      'Original-Recipient: rfc822; robert@b.example\r\nFinal-Recipient: rfc822; bob@b.example\r\nAction: failed\r\n' +
        'Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n' +
        'Last-Attempt-Date: Sat, 29 Sep 2001 17:09:18 +0000',
      // What was no reply of a server has no Diagnostic-Code; and what is given up is no 4.x.x any more.
      'Final-Recipient: rfc822; dave@d.example\r\nAction: failed\r\nStatus: 5.4.7',
    ],
  )
  assert.equal(header, `Content-Type: text/rfc822-headers\r\n\r\n${HEADER}`)
})

test('a reply without an enhanced status is told of by the class of its code', () => {
  const whole = said(owed([[BOB, { kind: 'failed', by: { code: 554, text: ['no'] } }]]))
  assert.match(whole, /^Status: 5\.0\.0\r\nDiagnostic-Code: smtp; 554 no\r$/m)
})

test('what its sender set of times stands in the report', () => {
  const deliverBy = { at: SATURDAY, mode: 'return', trace: false } as const
  const status = parts(owed([[BOB, refused('no')]], { deliverBy, hold: SATURDAY }))[2] ?? ''
  assert.match(
    status,
    /^Deliver-By-Date: Sat, 29 Sep 2001 17:09:18 \+0000\r\nFuture-Release-Request: until;2001-09-29T17:09:18Z\r$/m,
  )
})

test('whose reply it was, and when it was tried last, stands in the report on it', () => {
  const by = { code: 450, status: '4.2.1', text: ['not now'] }
  const remote = '[192.0.2.1]'
  const status = (report: Bounce | undefined) =>
    report && parts(report)[2]?.split('\r\n\r\n')[2]?.trimEnd().split('\r\n').slice(1)
  assert.deepEqual(status(owed([[BOB, { kind: 'failed', by: { ...by, code: 550 }, remote: 'mx.b.example' }]])), [
    'Action: failed',
    'Status: 5.2.1',
    'Remote-MTA: dns; mx.b.example',
    'Diagnostic-Code: smtp; 550 4.2.1 not now',
    'Last-Attempt-Date: Sat, 29 Sep 2001 17:09:18 +0000',
  ])
  const late = entry([[BOB, 'waiting']])
  const waiting = {
    kind: 'waiting',
    due: 0,
    attempts: 1,
    last: { kind: 'deferred', by, remote },
    tried: SATURDAY,
  } as const
  assert.deepEqual(status(delayed({ ...late, recipients: [waiting] }, FACTS)), [
    'Action: delayed',
    'Status: 4.2.1',
    'Remote-MTA: dns; [192.0.2.1]',
    'Diagnostic-Code: smtp; 450 4.2.1 not now',
    'Last-Attempt-Date: Sat, 29 Sep 2001 17:09:18 +0000',
    'Will-Retry-Until: Sat, 29 Sep 2001 17:09:19 +0000',
  ])
  // What time ran out over is told of by what was said last.
  const over = conclude({ ...late, recipients: [waiting] }, new Map([[0, waiting.last]]), {
    plan: { waits: [1], expire: 1 },
    now: SATURDAY + 5000,
  })
  assert.deepEqual(status(bounce(over, FACTS)), [
    'Action: failed',
    'Status: 5.4.7',
    'Remote-MTA: dns; [192.0.2.1]',
    'Diagnostic-Code: smtp; 450 4.2.1 not now',
    'Last-Attempt-Date: Sat, 29 Sep 2001 17:09:23 +0000',
  ])
  // A name is what somebody put into the DNS.
  const hostile = { kind: 'failed', by, remote: 'mx\r\nX-Evil: 1' } as const
  assert.ok(!said(owed([[BOB, hostile]])).includes('\r\nX-Evil'))
})

test('an address beyond ASCII is named as one of utf-8', () => {
  const whole = said(owed([[{ to: { local: 'grüße', domain: 'b.example' } }, refused('no')]], { smtputf8: true }))
  assert.ok(whole.includes('\r\nFinal-Recipient: utf-8; '), whole)
  // RFC 6533 §4: the types for what is not ASCII.
  assert.match(whole, /^Content-Type: message\/global-delivery-status\r$/m)
  assert.match(whole, /^Content-Type: message\/global-headers\r$/m)
})

test('a hostile reply cannot begin a header, nor a part', () => {
  const evil = 'no\r\nX-Evil: 1\r\n\r\n--report-R1\r\n--report-R1--\r\n'
  const report = owed([[BOB, refused(evil, 'X-Evil: 2\nX-Evil: 3\rX-Evil: 4')]])
  assert.ok(!/(?:^|[\r\n])X-Evil/.test(said(report)), said(report))
  assert.equal(parts(report).length, 4)
})

test('whatever a server says, a report has the same lines but for the words', () => {
  const lines = (...words: readonly string[]) => said(owed([[BOB, refused(...words)]])).split(/\r\n|\r|\n/).length
  const usual = lines('no')
  const any = fc.string({ unit: fc.constantFrom('\r', '\n', '\0', 'a', ' ', '-', ':') })
  fc.assert(
    fc.property(fc.array(any, { minLength: 1, maxLength: 3 }), words => {
      assert.equal(lines(...words), usual)
    }),
    runs(300),
  )
})

test('who asked to be told of success is told: delivered here, or relayed to a server that offers no DSN', () => {
  const asked = { ...BOB, notify: 'SUCCESS' }
  const told = (recipient: Recipient, outcome: Outcome) => {
    const report = bounce(entry([[recipient, outcome]]), FACTS)
    return (
      report &&
      (
        said(report)
          .split('text/rfc822-headers')[0]
          ?.match(/^(?:Subject|Action|Status): .*(?=\r$)/gm) ?? []
      ).join(', ')
    )
  }
  assert.equal(
    told(asked, { kind: 'delivered', to: 'bob' }),
    'Subject: Delivered mail, Action: delivered, Status: 2.0.0',
  )
  assert.equal(told(asked, RELAYED), 'Subject: Relayed mail, Action: relayed, Status: 2.0.0')
  // The next server took the wish over with the message.
  assert.equal(told(asked, { kind: 'relayed', to: 'mail-b', dsn: true }), undefined)
  for (const notify of ['FAILURE', 'NEVER', 'DELAY']) assert.equal(told({ ...BOB, notify }, RELAYED), undefined)
  assert.equal(told(BOB, { kind: 'delivered', to: 'bob' }), undefined)
})

test('one report tells of all, the worst in its subject', () => {
  const report = owed([
    [
      { ...BOB, notify: 'SUCCESS,FAILURE' },
      { kind: 'delivered', to: 'bob' },
    ],
    [DAVE, refused('no')],
  ])
  assert.match(said(report), /^Subject: Undeliverable mail\r$/m)
  assert.deepEqual(said(report).match(/^Action: .*(?=\r$)/gm), ['Action: delivered', 'Action: failed'])
})

test('who is late is told of while it is tried, until when, and not at all to <> or where it was not wanted', () => {
  const late = (
    recipient: Recipient,
    from: SpoolEntry['envelope']['from'] = { local: 'alice', domain: 'a.example' },
  ) => {
    const waits = entry([[recipient, 'waiting']], { from })
    const last = { kind: 'deferred', by: { status: '4.4.1', why: 'mail-b refused the connection' } } as const
    return delayed({ ...waits, recipients: [{ kind: 'waiting', due: 0, attempts: 9, last }] }, FACTS)
  }
  const report = late(BOB)
  assert.ok(report)
  assert.match(said(report), /^Subject: Delayed mail\r$/m)
  assert.match(
    said(report),
    /^Action: delayed\r\nStatus: 4\.4\.1\r\nWill-Retry-Until: Sat, 29 Sep 2001 17:09:19 \+0000\r$/m,
  )
  assert.equal(late({ ...BOB, notify: 'FAILURE' }), undefined)
  assert.notEqual(late({ ...BOB, notify: 'DELAY' }), undefined)
  assert.equal(late(BOB, null), undefined)
})

test('who set a time is told where it is handed to who does not keep it, and of each step where that was wished', () => {
  const deliverBy = (trace: boolean) => ({ deliverBy: { at: 0, mode: 'notify', trace } as const })
  const untimed: Outcome = { kind: 'relayed', to: 'mail-b', dsn: true, untimed: true }
  const timed: Outcome = { kind: 'relayed', to: 'mail-b', dsn: true }
  assert.match(said(owed([[BOB, untimed]], deliverBy(false))), /^Action: relayed\r$/m)
  assert.match(said(owed([[BOB, untimed]], deliverBy(false))), /relayed to mail-b, which offers no DELIVERBY/)
  assert.match(said(owed([[BOB, timed]], deliverBy(true))), /^Action: relayed\r$/m)
  assert.equal(bounce(entry([[BOB, timed]], deliverBy(false)), FACTS), undefined)
  assert.equal(bounce(entry([[{ ...BOB, notify: 'NEVER' }, untimed]], deliverBy(true)), FACTS), undefined)
  assert.equal(bounce(entry([[{ ...BOB, notify: 'SUCCESS' }, timed]]), FACTS), undefined)
})

test('the report on a message that requires TLS asks for TLS itself', () => {
  assert.equal(owed([[BOB, refused('no')]], { requireTls: true }).envelope.requireTls, true)
  assert.ok(!('requireTls' in owed([[BOB, refused('no')]]).envelope))
})

test('the text of a message that requires TLS comes back with no report, whatever its sender wished', () => {
  const failed = [[BOB, refused('no')]] as const
  assert.equal(returnsAll(entry(failed, { ret: 'FULL' })), true)
  assert.equal(returnsAll(entry(failed, { ret: 'FULL', requireTls: true })), false)
})

test('nothing that a server said is obeyed by a terminal, and the part for programs is ASCII, as it is declared', () => {
  const report = owed([[BOB, refused('\u001b[2Jno \u0007\u009b31m\tNuñez')]])
  const [, people = '', programs = ''] = parts(report)
  assert.match(programs, /^Diagnostic-Code: smtp; 550 5\.1\.1 \?\[2Jno \?\?31m\?Nu\?ez$/m)
  assert.match(Buffer.from(people, 'latin1').toString(), /550 5\.1\.1 \?\[2Jno \?\?31m\?Nuñez/)
  const global = owed([[{ to: { local: 'böb', domain: 'b.example' } }, refused('Nuñez')]], { smtputf8: true })
  assert.match(Buffer.from(said(global), 'latin1').toString(), /^Diagnostic-Code: smtp; 550 5\.1\.1 Nuñez\r$/m)
})
