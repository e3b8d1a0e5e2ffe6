import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, text, utf8 } from '../base/bytes.ts'
import { formatMailbox } from '../smtp/address.ts'
import { addressesIn } from './address-list.ts'
import { type HandingIn, handedIn } from './handed-in.ts'
import { EX, parseSendmail } from './sendmail.ts'

const HOW: HandingIn = {
  fromHeader: false,
  dotsAreText: false,
  sender: { local: 'joe', domain: 'a.example' },
  id: 'ID',
  host: 'mail.a.example',
  now: 1_016_119_918_324,
}

function made(message: string, how: Partial<HandingIn> = {}): string {
  const done = handedIn(utf8(message), { ...HOW, ...how })
  return 'refused' in done ? `refused: ${done.refused}` : text(done.content)
}

const WHOLE = 'Date: d\nMessage-ID: <m>\nFrom: f@a.example\n'

test('what is missing of a message is added, and nothing else is changed (RFC 6409 §8)', () => {
  assert.equal(
    made('Subject: hi\nTo: x\n\nhello\n'),
    'Date: Thu, 14 Mar 2002 15:31:58 +0000\r\nMessage-ID: <ID@mail.a.example>\r\nFrom: joe@a.example\r\n' +
      'Subject: hi\r\nTo: x\r\n\r\nhello\r\n',
  )
  assert.equal(made(`${WHOLE}\nx\n`), 'Date: d\r\nMessage-ID: <m>\r\nFrom: f@a.example\r\n\r\nx\r\n')
  assert.match(made('\nx\n', { fullName: 'Joe "the" User' }), /^From: "Joe \\"the\\" User" <joe@a\.example>\r$/m)
  assert.match(made('\nx\n', { fullName: 'Jörg' }), /^From: =\?UTF-8\?B\?SsO2cmc=\?= <joe@a\.example>\r$/m)
})

test('line ends of any kind become CRLF; octets that are not ASCII stay as they are', () => {
  assert.equal(
    made(`${WHOLE.replaceAll('\n', '\r\n')}\r\none\ntwo\rthree`).split('\r\n\r\n')[1],
    'one\r\ntwo\r\nthree\r\n',
  )
  const done = handedIn(bytes(`${WHOLE}\n\xe4\xff\n`), HOW)
  assert.ok('content' in done)
  assert.match(text(done.content), /\r\n\r\n\xe4\xff\r\n$/)
})

test('a dot alone ends the message, unless dots are text', () => {
  assert.match(made(`${WHOLE}\na\n.\nb\n`), /\r\n\r\na\r\n$/)
  assert.match(made(`${WHOLE}\na\n.\n..\nb\n`, { dotsAreText: true }), /\r\n\r\na\r\n\.\r\n\.\.\r\nb\r\n$/)
})

test('-t: everybody of To, Cc and Bcc, and no Bcc in what is sent; of what is sent on, the Resent- ones', () => {
  const to = (message: string) => {
    const done = handedIn(utf8(message), { ...HOW, fromHeader: true })
    assert.ok('content' in done)
    return [done.recipients.map(formatMailbox).join(' '), text(done.content)] as const
  }
  const [found, content] = to(
    `${WHOLE}To: A <a@x.example>,\n  b@x.example\nCc: "C, D" <c@x.example>\nBcc: secret@x.example\nBCC : other@x.example\n\nBcc: text\n`,
  )
  assert.equal(found, 'a@x.example b@x.example c@x.example secret@x.example other@x.example')
  assert.ok(!/secret|other@/.test(content))
  assert.match(content, /To: A <a@x\.example>,\r\n {2}b@x\.example\r\nCc: /)
  assert.match(content, /\r\n\r\nBcc: text\r\n$/)
  const [resent, kept] = to(`${WHOLE}To: a@x.example\nResent-To: z@x.example\nResent-Bcc: y@x.example\n\nx\n`)
  assert.equal(resent, 'z@x.example y@x.example')
  assert.ok(!kept.includes('y@x.example'))
  assert.match(made(`${WHOLE}Bcc: secret@x.example\n\nx\n`), /Bcc: secret/)
})

test('a message without a header, or without the blank line behind it, or from a mailbox file, is understood', () => {
  assert.match(made('just text\nmore\n'), /From: joe@a\.example\r\n\r\njust text\r\nmore\r\n$/)
  assert.match(made('Subject: x\nnot a field\n'), /Subject: x\r\n\r\nnot a field\r\n$/)
  assert.match(made(`From joe Thu Mar 14\n${WHOLE}\nx\n`), /^Date: d\r\n/)
  assert.match(made(''), /From: joe@a\.example\r\n\r\n$/)
})

test('a NUL is refused', () => {
  assert.match(made('a\0b'), /^refused: it holds a NUL/)
})

test('whatever is handed in, what goes out has CRLF alone, and is the same when it is handed in again', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'aB:. \t\r\n,<>@"()'), maxLength: 120 }),
      fc.boolean(),
      (message, fromHeader) => {
        const out = made(message, { fromHeader, dotsAreText: true })
        assert.ok(!/(?<!\r)\n|\r(?!\n)/.test(out))
        assert.equal(made(out, { fromHeader, dotsAreText: true }), out)
      },
    ),
    runs(1_000),
  )
})

test('addresses are found in every form that a field may list them in', () => {
  const found = (list: string) => addressesIn(list).found.map(formatMailbox)
  assert.deepEqual(found('a@x.example, B <b@x.example> , "C, (D)" <c@x.example>'), [
    'a@x.example',
    'b@x.example',
    'c@x.example',
  ])
  assert.deepEqual(found('Team: a@x.example, b@x.example; , root (the (boss)) , <@r.example:d@x.example>'), [
    'a@x.example',
    'b@x.example',
    'root',
    'd@x.example',
  ])
  assert.deepEqual(found('"two words"@x.example, e\\xample'), ['"two words"@x.example'])
  assert.deepEqual(found('undisclosed-recipients:;'), [])
  assert.deepEqual(addressesIn('a@x.example, no body').wrong, ['no body'])
})

test('reading a list ends, whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a@."\\(),;:<> '), maxLength: 200 }), list => {
      const { found, wrong } = addressesIn(list)
      assert.ok(found.length + wrong.length <= list.length)
    }),
    runs(2_000),
  )
})

// ── how it is called ───────────────────────────────────────────────────────────────────────────────────────────────

const read = (words: string, name = 'sendmail') => parseSendmail(name, words === '' ? [] : words.split(' '))

test('the ways that programs call it: flags joined, values in the same word or the next, old options taken and ignored', () => {
  const plain = { fromHeader: false, dotsAreText: false, verbose: false, recipients: [] }
  assert.deepEqual(read('-t -i'), { mode: 'send', options: { ...plain, fromHeader: true, dotsAreText: true } })
  assert.deepEqual(read('-ti'), read('-t -i'))
  assert.deepEqual(read('-t -oi'), read('-t -i'))
  assert.deepEqual(read('-t -O IgnoreDots=true'), read('-t -i'))
  const from = { ...plain, from: 'joe@a.example', recipients: ['x@b.example', '-y'] }
  assert.deepEqual(read('-f joe@a.example -- x@b.example -y'), { mode: 'send', options: from })
  assert.deepEqual(read('-fjoe@a.example -oem -odb -om -Ac -B8BITMIME -G -U -L tag -- x@b.example -y'), {
    mode: 'send',
    options: from,
  })
  assert.deepEqual(read('-f <> x'), { mode: 'send', options: { ...plain, from: '', recipients: ['x'] } })
  assert.deepEqual(read('-N success,delay -R hdrs -V id x'), {
    mode: 'send',
    options: { ...plain, notify: 'SUCCESS,DELAY', ret: 'HDRS', envid: 'id', recipients: ['x'] },
  })
})

test('as mailq, newaliases, -bp, -bs, -q, -bi it is something else; what it cannot do it says', () => {
  const mode = (words: string, name?: string) => {
    const called = read(words, name)
    return 'wrong' in called ? called.wrong : called.mode
  }
  assert.deepEqual(
    [mode('', 'mailq'), mode('', 'newaliases'), mode('-bp'), mode('-bs'), mode('-q'), mode('-bi')],
    ['list', 'aliases', 'list', 'session', 'flush', 'aliases'],
  )
  assert.deepEqual(
    [mode('-bd'), mode('-z'), mode('-f'), mode('-N never,success x')],
    [
      '-bd is not done here',
      'there is no option -z',
      '-f wants a value',
      '-N never,success: expected never, or success, failure, delay with commas between them',
    ],
  )
  assert.equal(EX.tempFail, 75)
})

test('whatever words it is called with, it is one of the modes or says what is wrong, and loses no recipient', () => {
  const word = fc.string({ unit: fc.constantFrom(...'-tifoOCNRVbqmsp=@ax'), maxLength: 5 })
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), fc.array(word, { maxLength: 3 }), (words, recipients) => {
      // Behind a word that the one before may want for its value.
      const called = parseSendmail('sendmail', [...words, '-t', '--', ...recipients])
      if ('wrong' in called) return assert.notEqual(called.wrong, '')
      const given = called.options.recipients
      return assert.deepEqual(given.slice(Math.max(0, given.length - recipients.length)), recipients)
    }),
    runs(2_000),
  )
})
