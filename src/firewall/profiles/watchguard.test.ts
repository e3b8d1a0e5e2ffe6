import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CAUSE, Lenient, Through, type Took } from '../through.test.ts'
import { smtpIncoming, smtpOutgoing, type WatchguardSettings } from './watchguard.ts'

function incoming(changes: Partial<WatchguardSettings> = {}, extensions?: readonly string[]) {
  const took: Took[] = []
  return { took, through: new Through(() => new Lenient(took, extensions), smtpIncoming(CAUSE, changes)) }
}

const ENVELOPE = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA']

const MIXED = [
  'From: a@x.example',
  'X-Secret: 1',
  ' folded',
  'Subject: x',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=q',
  '',
  '--q',
  '',
  'hello',
  '--q',
  'Content-Type: application/octet-stream',
  'Content-Disposition: attachment; filename="Game.EXE"',
  'Content-Transfer-Encoding: base64',
  '',
  'TVqQAAMAAAAEAAAA',
  '--q--',
  '',
].join('\r\n')

test('SMTP-Incoming replaces an attachment by the deny message, and leaves out a header that is not on its list', () => {
  for (const cut of [1, 7, 10_000]) {
    const { through, took } = incoming({ denyMessage: 'removed' })
    through.talk(...ENVELOPE)
    assert.equal(through.say(`${MIXED}.\r\n`, cut), '250 2.0.0 queued\r\n')
    assert.equal(
      took[0]?.message,
      [
        'From: a@x.example',
        'Subject: x',
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary=q',
        '',
        '--q',
        '',
        'hello',
        '--q',
        'Content-Type: text/plain; charset=us-ascii',
        '',
        'removed',
        '',
        '--q--',
        '',
      ].join('\r\n'),
    )
    const told = through.explanations.map(({ what, subject, did }) => `${what} ${subject} ${did}`)
    assert.deepEqual(
      told.filter(each => !each.startsWith('keyword')),
      ['header X-SECRET strip', 'attachment application/octet-stream replace'],
    )
  }
})

test('SMTP-Incoming refuses a whole message whose structure mail readers would not agree on', () => {
  const { through, took } = incoming()
  through.talk(...ENVELOPE)
  const unclear = MIXED.replace('--q--', '--qq\r\n--q--')
  assert.match(through.say(`${unclear}.\r\n`), /^554 5\.6\.0 /)
  assert.deepEqual(took, [])
})

const PAYLOAD = 'TVqQAAMAAAAEAAAA'

/** What becomes of a message where only file names are looked at, as the server took it. */
function withoutLists(message: string): { readonly reply: string; readonly took: string | undefined } {
  const { through, took } = incoming({ contentTypes: new Set(['*']), headers: new Set(['*']) })
  through.talk(...ENVELOPE)
  const reply = through.say(`${message}.\r\n`)
  return { reply, took: took[0]?.message }
}

test('SMTP-Incoming finds a denied file name however a mail reader may come by it', () => {
  for (const written of [
    'attachment; filename=game.exe',
    "attachment; filename*=utf-8''game%2Eexe",
    "attachment; filename*=utf-8''g%61me.%65xe",
    "attachment; filename*0*=utf-8''game; filename*1*=%2Eexe",
    'attachment; filename*1=.exe; filename*0=game',
    "attachment; filename=game.exe; filename*=utf-8''a.txt",
    "attachment; filename*=utf-8''a.txt; filename=game.exe",
    'attachment; filename=a.txt; filename=game.exe',
    'attachment; filename="=?utf-8?B?Z2FtZS5leGU=?="',
    'attachment; filename="=?utf-8?B?Z2FtZS4=?= =?utf-8?Q?=65xe?="',
    'attachment; filename=game.exe (x)',
    'attachment; filename (x) = game.exe',
    'attachment; filename="game.\\exe"',
    'attachment; filename="game.exe. "',
    'attachment; filename="game.exe',
    'attachment; foo; filename=game.exe',
    'attachment; x="a; filename=game.exe',
    'attachment; filename=a.txt\r\nContent-Disposition: attachment; filename=game.exe',
    `attachment; ${'x=y; '.repeat(60)}filename=game.exe`,
  ]) {
    const { reply, took } = withoutLists(MIXED.replace('attachment; filename="Game.EXE"', written))
    assert.equal(reply, '250 2.0.0 queued\r\n', written)
    assert.ok(took && !took.includes(PAYLOAD), `${written}: ${took}`)
  }
  const harmless = MIXED.replace('"Game.EXE"', '"game.exe.txt"')
  assert.ok(withoutLists(harmless).took?.includes(PAYLOAD))
})

test('SMTP-Incoming looks into what is signed, and refuses what mail readers would look into and it cannot', () => {
  const type = 'Content-Type: multipart/mixed; boundary=q'
  for (const [written, isRefused] of [
    ['Content-Type: multipart/signed; boundary=q', false],
    ['Content-Type: multipart/encrypted; boundary=q', false],
    [`no field\r\n${type}`, false],
    [`${type}\r\n${type}`, true],
    [`${type}\r\nContent-Transfer-Encoding: base64`, true],
    ['Content-Type: multipart/mixed; boundary="q "', true],
    ["Content-Type: multipart/mixed; boundary*=utf-8''q", true],
    ['Content-Type: multipart/mixed; boundary=z; boundary=q', true],
    ['Content-Type: multipart; boundary=q', true],
    ['Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64', true],
    ['Content-Type: message/partial; id=x; number=1; total=1', true],
  ] as const) {
    const { reply, took } = withoutLists(MIXED.replace(type, written))
    assert.match(reply, isRefused ? /^554 5\.6\.0 / : /^250 /, written)
    assert.ok(!took?.includes(PAYLOAD), `${written}: ${took}`)
  }
  const many = MIXED.replace('\r\n--q\r\n', `\r\n${'--q\r\n\r\n'.repeat(1000)}--q\r\n`)
  assert.match(withoutLists(many).reply, /^554 5\.6\.0 /)
  const named = Array.from({ length: 51 }, () => 'name=a').join('; ')
  assert.match(withoutLists(MIXED.replace('filename="Game.EXE"', named)).reply, /^554 5\.6\.0 /)
})

test('a message that is nothing but a header has its fields judged, too', () => {
  const { through, took } = incoming()
  through.talk(...ENVELOPE)
  assert.match(through.say('From: a@x.example\r\nX-Secret: 1\r\n.\r\n'), /^250 /)
  assert.equal(took[0]?.message, 'From: a@x.example\r\n')
})

test('SMTP-Incoming offers the ticked ESMTP options and the listed AUTH types', () => {
  const { through } = incoming({}, ['SIZE 10', 'ETRN', 'CHUNKING', 'AUTH GSSAPI PLAIN', 'X-LINK2STATE'])
  const [reply] = through.talk('EHLO c.example')
  assert.equal(reply, '250-lenient.example\r\n250-SIZE 10\r\n250 AUTH PLAIN')
  assert.match(through.talk('DEBUG')[0] ?? '', /^500 /)
})

test('SMTP-Incoming without ESMTP knows no EHLO, and its greeting shows no server', () => {
  const { through } = incoming({ esmtp: false })
  assert.equal(through.heard, '220 SMTP service ready\r\n')
  assert.match(through.talk('EHLO c.example')[0] ?? '', /^500 /)
  assert.match(through.talk('HELO c.example')[0] ?? '', /^250 /)
})

test('with a banner name the server behind is not shown', () => {
  const { through } = incoming({ bannerName: 'mail.x.example' })
  assert.equal(through.heard, '220 mail.x.example ESMTP\r\n')
  assert.match(through.talk('EHLO c.example')[0] ?? '', /^250-mail\.x\.example\r\n/)
})

test('a reply in which the server behind names itself is told with the other name', () => {
  const silent = { open: () => '', receive: () => '', end: () => {} }
  const through = new Through(() => silent, smtpIncoming(CAUSE, { bannerName: 'mail.x.example' }))
  through.server('220 in7.lan.x.example ESMTP\r\n')
  through.say('HELO c.example\r\n')
  through.server('250 in7.lan.x.example\r\n') // to EHLO, which is what is said: TLS may be had
  through.say('QUIT\r\n')
  assert.equal(through.server('221 2.0.0 in7.lan.x.example closing\r\n'), '221 2.0.0 mail.x.example closing\r\n')
})

test('too many recipients are told so; in the compatible mode they are dropped, and only the record says it', () => {
  const refusing = incoming({ recipients: 1 })
  refusing.through.talk(...ENVELOPE.slice(0, 3))
  assert.match(refusing.through.talk('RCPT TO:<c@y.example>')[0] ?? '', /^452 4\.5\.3 /)

  const dropping = incoming({ recipients: 1, tooManyRecipients: 'drop' })
  dropping.through.talk(...ENVELOPE.slice(0, 3))
  assert.match(dropping.through.talk('RCPT TO:<c@y.example>')[0] ?? '', /^250 /)
  dropping.through.talk('DATA', 'S: x\r\n\r\n.')
  assert.deepEqual(dropping.took[0]?.to, ['b@y.example'])
  assert.ok(dropping.through.explanations.some(({ subject, did }) => subject === 'RECIPIENTS' && did === 'strip'))
})

test('greeting rules: a name that is too long or holds odd characters is refused', () => {
  const { through } = incoming({ helloLength: 20 })
  for (const name of ['a'.repeat(21), 'a$b', 'a;b']) assert.match(through.talk(`HELO ${name}`)[0] ?? '', /^501 /)
  assert.match(through.talk('HELO [192.0.2.1]')[0] ?? '', /^250 /)
})

test('SMTP-Outgoing shows the outer domain in the envelope and in the header', () => {
  const took: Took[] = []
  const masquerade = new Map([['lan.x.example', 'x.example']])
  const through = new Through(() => new Lenient(took), smtpOutgoing(CAUSE, { masquerade }))
  through.talk('EHLO c.example', 'MAIL FROM:<a@lan.x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  through.say('From: A <a@LAN.x.example>\r\nMessage-ID: <1@lan.x.example>\r\nTo: b@lan.x.example\r\n\r\nb\r\n.\r\n')
  assert.deepEqual(took, [
    {
      from: 'a@x.example',
      to: ['b@y.example'],
      message: 'From: A <a@x.example>\r\nMessage-ID: <1@x.example>\r\nTo: b@lan.x.example\r\n\r\nb\r\n',
    },
  ])
})

test('a domain outside ASCII that is masqueraded may be said in its other spelling', () => {
  const took: Took[] = []
  const masquerade = new Map([['büro.example', 'x.example']])
  const through = new Through(() => new Lenient(took), smtpOutgoing(CAUSE, { masquerade }))
  through.talk('EHLO c.example', 'MAIL FROM:<a@xn--BRO-hoa.example>', 'RCPT TO:<b@y.example>', 'DATA')
  through.say('From: A <a@xn--bro-hoa.example>\r\n\r\nb\r\n.\r\n')
  assert.equal(took[0]?.from, 'a@x.example')
  assert.equal(took[0]?.message, 'From: A <a@x.example>\r\n\r\nb\r\n')
})

test('a domain outside ASCII that is masqueraded shows in no header, and what is shown for it may stand in every message', () => {
  const took: Took[] = []
  const masquerade = new Map([
    ['büro.example', 'x.example'],
    ['lan.x.example', '中文.example'],
  ])
  const through = new Through(() => new Lenient(took), smtpOutgoing(CAUSE, { masquerade }))
  const octets = (...lines: readonly string[]): string => Buffer.from(lines.join('\r\n'), 'utf8').toString('latin1')
  through.talk('EHLO c.example', 'MAIL FROM:<a@lan.x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  through.say(
    octets(
      'From: ü <a@BÜRO.example>, c@bu\u0308ro.example,',
      ' d@büros.example',
      'Sender: a@lan.x.example',
      '',
      'b',
      '.',
      '',
    ),
  )
  assert.equal(took[0]?.from, 'a@xn--fiq228c.example')
  assert.equal(
    took[0]?.message,
    octets('From: ü <a@x.example>, c@x.example,', ' d@büros.example', 'Sender: a@xn--fiq228c.example', '', 'b', ''),
  )
})

test('octets that are no UTF-8 are nobody that is masqueraded', () => {
  const took: Took[] = []
  const masquerade = new Map([['büro.example', 'x.example']])
  const through = new Through(() => new Lenient(took), smtpOutgoing(CAUSE, { masquerade }))
  through.talk('EHLO c.example', 'MAIL FROM:<a@y.example>', 'RCPT TO:<b@y.example>', 'DATA')
  through.say('From: a@b\xfcro.example\r\n\r\nb\r\n.\r\n')
  assert.equal(took[0]?.message, 'From: a@b\xfcro.example\r\n\r\nb\r\n')
})

test('SMTP-Incoming knows a file in the text itself, by its name and by its kind', () => {
  const letter = (name: string) =>
    ['Subject: x', '', 'hello', `begin 644 ${name}`, '#0V%T', '`', 'end', 'bye', ''].join('\r\n')
  const sent = (name: string, changes: Partial<WatchguardSettings>, cut: number): string | undefined => {
    const { through, took } = incoming({ denyMessage: 'removed', ...changes })
    through.talk(...ENVELOPE)
    through.say(`${letter(name)}.\r\n`, cut)
    return took[0]?.message
  }
  const without = ['Subject: x', '', 'hello', 'removed', 'bye', ''].join('\r\n')
  for (const cut of [1, 7, 10_000]) {
    assert.equal(sent('cat.txt', {}, cut), letter('cat.txt'))
    assert.equal(sent('Game.EXE', {}, cut), without)
    assert.equal(sent('cat.txt', { contentTypes: new Set(['text/*']) }, cut), without)
  }
})
