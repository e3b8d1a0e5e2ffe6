import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { anyCuts, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, text } from '../base/bytes.ts'
import type { Target } from '../mail/conversion.ts'
import { MessageForm } from '../mail/form.ts'
import { MIME_PARTS } from '../mail/mime.ts'
import { MIME_DEPTH } from '../mail/part.ts'
import { type Content, convert } from './convert.ts'

type Chunks = readonly Uint8Array[]

function contentOf(chunks: Chunks): Content {
  return async function* () {
    yield* chunks
  }
}

async function gather(content: Content): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of content()) pieces.push(piece)
  return concat(pieces)
}

/** The message converted, or the status and why it cannot be. What was converted is checked to fit. */
async function converted(
  message: string | Chunks,
  to: Target,
  options: { readonly smtputf8?: boolean } = {},
): Promise<Uint8Array | string> {
  const chunks = typeof message === 'string' ? [bytes(message)] : message
  const result = await convert(contentOf(chunks), to, options)
  if ('cannot' in result) return `${result.cannot.status} ${result.cannot.why}`
  const out = await gather(result.content)
  assert.equal(result.size, out.length)
  const form = new MessageForm()
  form.push(out)
  form.end()
  assert.ok(form.header.isLines && form.body.isLines && form.bodyType !== 'binarymime', 'it is not in lines')
  if (to === '7bit') assert.equal(form.bodyType, '7bit')
  assert.ok(form.size === 0 || (form.body.size === 0 ? form.header : form.body).isEnded, 'the last line has no CRLF')
  return out
}

/** To be compared with ===; `shown` as one character per octet. */
async function shown(message: string, to: Target, options: { readonly smtputf8?: boolean } = {}): Promise<string> {
  const result = await converted(message, to, options)
  return typeof result === 'string' ? result : text(result)
}

// ── What it writes ─────────────────────────────────────────────────────────────────────────────────────────────────────

const TEXT = 'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n'

test('convert() encodes text as quoted-printable, and says so at the end of the header', async () => {
  assert.equal(
    await shown(`${TEXT}Subject: a\r\n\r\nna\xc3\xafve = 1 \r\n-- \r\n.\r\n`, '7bit'),
    `${TEXT}Subject: a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=C3=AFve =3D 1=20\r\n=2D-=20\r\n.\r\n`,
  )
})

test('convert() writes the Content-Transfer-Encoding where it was, folded or not', async () => {
  assert.equal(
    await shown(`MIME-Version: 1.0\r\ncontent-transfer-encoding:\r\n 8bit (c)\r\nSubject: a\r\n\r\n\xe4\r\n`, '7bit'),
    'MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\nSubject: a\r\n' +
      'Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=E4\r\n',
  )
})

test('convert() makes MIME of a message that is none, with the charset unknown', async () => {
  assert.equal(
    await shown('Subject: a\r\n\r\nna\xefve\r\n', '7bit'),
    'Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve\r\n',
  )
  assert.equal(
    await shown(`\r\n${'x'.repeat(999)}\r\n`, '8bitmime'),
    'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n' +
      `Content-Transfer-Encoding: quoted-printable\r\n\r\n${`${'x'.repeat(75)}=\r\n`.repeat(13)}${'x'.repeat(24)}\r\n`,
  )
})

test('convert() encodes what is not text as base64, each CR and LF of it', async () => {
  assert.equal(
    await shown(
      'MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n\n\r',
      '8bitmime',
    ),
    'MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAA0KCg0=\r\n',
  )
})

test('convert() adds no line end to what has none: binary is encoded, quoted-printable ends in a soft break', async () => {
  const binary = 'MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\nabc'
  assert.match(await shown(binary, '7bit'), /base64\r\n\r\nYWJj\r\n$/)
  assert.match(await shown(`${TEXT}\r\na\0b`, '8bitmime'), /\r\n\r\na=00b=\r\n$/)
  // Lines end in CRLF, and so does the last one.
  assert.equal(await shown(`${TEXT}\r\nabc`, '7bit'), `${TEXT}\r\nabc\r\n`)
  assert.equal(await shown('Subject: a', '7bit'), 'Subject: a\r\n')
  assert.equal(await shown('', '7bit'), '')
})

const MIXED =
  'Subject: a\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'

test('convert() leaves a part that fits octet for octet, and says 7bit around those it encodes', async () => {
  const [one, two, after] = [
    '--b\r\nX:  y\r\n\r\nplain =20 \r\n',
    '--b\r\nContent-Type: TEXT/html\r\n\r\n\xe4\r\n',
    '--b--  \r\n',
  ]
  assert.equal(
    await shown(`${MIXED}Sch\xf6n\r\n${one}${two}${after}\xfc\r\n`, '7bit'),
    `${MIXED.replace('8bit', '7bit')}Sch=F6n\r\n${one}` +
      `--b\r\nContent-Type: TEXT/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n${after}=FC\r\n`,
  )
})

test('convert() for 8bitmime encodes only what is not in lines, and says 8bit at most', async () => {
  const [one, two] = ['--b\r\n\r\n\xe4\r\n', '--b\r\nContent-Type: a/b\r\n\r\n\xe4\n\r\n']
  for (const [said, says] of [
    ['binary', '8bit'],
    ['8BIT (c)', '8BIT (c)'],
  ] as const) {
    assert.equal(
      await shown(`${MIXED.replace('8bit', said)}${one}${two}--b--\r\n`, '8bitmime'),
      `${MIXED.replace('8bit', says)}${one}--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n5Ao=\r\n--b--\r\n`,
    )
  }
})

test('convert() goes into messages in messages, each with a MIME-Version of its own', async () => {
  const inner = 'Subject: b\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe4\r\n'
  assert.equal(
    await shown(`${MIXED}--b\r\nContent-Type: message/rfc822\r\n\r\n${inner}--b--\r\n`, '7bit'),
    `${MIXED.replace('8bit', '7bit')}--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: b\r\n` +
      'Content-Type: text/plain; charset=latin1\r\nMIME-Version: 1.0\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n--b--\r\n',
  )
})

test('convert() encodes a message of UTF-8 headers as one, for its type allows it', async () => {
  const global = 'Content-Type: message/global\r\n\r\nSubject: \xc3\xa4\r\n\r\na\r\n'
  assert.match(await shown(`MIME-Version: 1.0\r\n${global}`, '7bit'), /base64\r\n\r\nU3ViamVjdDogw6QNCg0KYQ0K\r\n$/)
})

test('convert() gives back what fits already, whatever it says it is', async () => {
  const signed =
    'MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n' +
    'Content-Transfer-Encoding: 8bit\r\n\r\nHello \r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n'
  for (const message of [signed, `${MIXED}--b\r\n\r\nx\r\n--bb\r\n`, 'Content-Type: multipart/mixed\r\n\r\nx\r\n']) {
    assert.equal(await shown(message, '7bit'), message)
    const content = contentOf([bytes(message)])
    const result = await convert(content, '8bitmime')
    assert.ok('content' in result)
    assert.equal(result.content, content)
  }
})

for (const [what, message, to, cannot] of [
  [
    'a signature is over what must change',
    `${MIXED}--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xe4\r\n--s--\r\n--b--\r\n`,
    '7bit',
    '5.6.3 part 2 (multipart/signed) has octets above 127, and a signature covers it',
  ],
  [
    'it is encrypted',
    `Content-Type: multipart/encrypted; boundary=s\r\n\r\n--s\r\n\r\n${'x'.repeat(1000)}\r\n--s--\r\n`,
    '8bitmime',
    '5.6.3 part 1 (multipart/encrypted) has a line of 1000 octets, and it is encrypted',
  ],
  [
    'it is a fragment',
    'Content-Type: message/partial; id=a; number=1\r\n\r\n\xe4\r\n',
    '7bit',
    '5.6.3 part 1 (message/partial) has octets above 127, and it is a fragment of another message',
  ],
  [
    'a header has 8-bit octets',
    'Subject: \xc3\xa4\r\n\r\nx\r\n',
    '7bit',
    '5.6.7 a header has octets above 127, and the next server does not take SMTPUTF8',
  ],
  [
    "a part's header has 8-bit octets",
    `${MIXED}--b\r\nContent-Disposition: attachment; filename=\xe4\r\n\r\nx\r\n--b--\r\n`,
    '8bitmime',
    '5.6.7 a header has octets above 127, and the next server does not take SMTPUTF8',
  ],
  [
    'a header has a NUL',
    'Subject: a\0b\r\n\r\nx\r\n',
    '8bitmime',
    '5.6.3 a header has a NUL, and headers are not encoded',
  ],
  [
    'a header line is too long',
    `Subject: ${'x'.repeat(990)}\r\n\r\nx\r\n`,
    '8bitmime',
    '5.6.3 a header has a line of 999 octets, and headers are not encoded',
  ],
  [
    'the lines end in LF',
    'Subject: a\n\nx\n',
    '8bitmime',
    '5.6.3 a header has an LF without CR, and headers are not encoded',
  ],
  [
    'the base64 is none',
    'Content-Transfer-Encoding: base64\r\n\r\n\xe4\r\n',
    '7bit',
    '5.6.3 part 1 (text/plain) has octets above 127, and it is base64 already',
  ],
  [
    'readers may not agree on the parts',
    `${MIXED}--b\r\n\r\n\xe4\r\n--bb\r\n--b--\r\n`,
    '7bit',
    '5.6.3 parts must be encoded, but a line begins as a delimiter of its parts does, and is none',
  ],
] as const) {
  test(`convert() cannot when ${what}, and says why`, async () => {
    assert.equal(await shown(message, to), cannot)
  })
}

test('convert() lets UTF-8 headers through where the next server takes SMTPUTF8', async () => {
  const message = 'MIME-Version: 1.0\r\nSubject: \xc3\xa4\r\nContent-Type: a/b\r\n\r\n'
  assert.equal(
    await shown(`${message}\0\r\n`, '8bitmime', { smtputf8: true }),
    `${message.slice(0, -2)}Content-Transfer-Encoding: base64\r\n\r\nAA0K\r\n`,
  )
  assert.match(await shown(`${message}\0\r\n`, '7bit', { smtputf8: true }), /^5\.6\.7 /)
})

// ── What a reader of mail sees ─────────────────────────────────────────────────────────────────────────────────────────

interface Leaf {
  readonly type: string
  readonly sha256: string
}

const PYTHON = `
import email, hashlib, json, sys
read = sys.stdin.buffer
while True:
    size = read.readline()
    if not size: break
    leaves = []
    for part in email.message_from_bytes(read.read(int(size))).walk():
        if part.is_multipart(): continue
        leaves.append({'type': part.get_content_type(), 'sha256': hashlib.sha256(part.get_payload(decode=True)).hexdigest()})
    print(json.dumps(leaves), flush=True)
`

const python = spawnSync('python3', ['--version']).status === 0 ? spawn('python3', ['-c', PYTHON]) : undefined
const skip = python ? false : 'python3 is not installed'
python?.stderr.pipe(process.stderr)
let answers = ''
let onAnswer: () => void = () => {}
python?.stdout.on('data', chunk => {
  answers += chunk
  onAnswer()
})
python?.on('exit', () => onAnswer())
after(() => python?.stdin.end())

/** The leaves of a message as Python's email package decodes them. */
async function leaves(message: Uint8Array): Promise<readonly Leaf[]> {
  assert.ok(python)
  python.stdin.write(`${message.length}\n`)
  python.stdin.write(message)
  while (!answers.includes('\n')) {
    assert.equal(python.exitCode, null, 'python3 ended')
    await new Promise<void>(resolve => {
      onAnswer = resolve
    })
  }
  const end = answers.indexOf('\n')
  const answer: unknown = JSON.parse(answers.slice(0, end))
  answers = answers.slice(end + 1)
  assert.ok(Array.isArray(answer))
  return answer
}

function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex')
}

/** What Python sees in the message before and after, which must be the same; its leaves. */
async function sameToPython(message: string | Chunks, to: Target): Promise<readonly Leaf[]> {
  const out = await converted(message, to)
  assert.ok(typeof out !== 'string', `cannot: ${out}`)
  const before = await leaves(typeof message === 'string' ? bytes(message) : concat(message))
  assert.deepEqual(await leaves(out), before)
  return before
}

/** Octets that are the same every time and look like no text. */
function noise(size: number): Uint8Array {
  const out = new Uint8Array(size)
  let state = 20_010_929
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out[i] = state >>> 24
  }
  return out
}

for (const to of ['7bit', '8bitmime'] as const) {
  test(`to Python, text, binary, nested and signed parts are the same after convert() to ${to}`, { skip }, async () => {
    const photo = text(noise(5000))
    const words = 'Gr\xc3\xbc\xc3\x9fe \t\r\n\r\n-- \r\n=3D\r\n.\r\n--\r\nFrom me\r\n'
    const letter = `Subject: in\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n${words}\r\n--c\r\nContent-Type: text/html\r\n\r\n${'<p>\xe4'.repeat(500)}\r\n--c--\r\n`
    const signed =
      'Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nHello \r\n--s\r\n\r\nsignature\r\n--s--\r\n'
    const parts = [
      `Content-Type: text/plain; charset=utf-8\r\n\r\n${words}`,
      `Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n${photo}`,
      `Content-Type: message/rfc822\r\n\r\n${letter}`,
      signed,
      'Content-Transfer-Encoding: base64\r\n\r\nAAECAw==',
      'Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4=\r\n=FC',
      '\r\n',
    ]
    const found = await sameToPython(`${MIXED}${parts.map(part => `--b\r\n${part}\r\n`).join('')}--b--\r\n`, to)
    assert.equal(found.length, 9)
    assert.deepEqual(found[0], { type: 'text/plain', sha256: sha256(bytes(words)) })
    assert.deepEqual(found[1], { type: 'image/x', sha256: sha256(bytes(photo)) })
    assert.deepEqual(found[2], { type: 'text/plain', sha256: sha256(bytes(words)) })
  })
}

test('to Python, a message that was no MIME is the same after convert()', { skip }, async () => {
  const [leaf] = await sameToPython('Subject: a\r\n\r\nna\xefve \t\r\n\r\n', '7bit')
  assert.equal(leaf?.sha256, sha256(bytes('na\xefve \t\r\n\r\n')))
})

const SIZE = 25 * 1024 * 1024
const LINE = bytes('Sch\xf6ne Gr\xfc\xdfe, und\tein langer Satz = eine lange Zeile. \r\n')

for (const [type, content] of [
  ['text/plain', concat(Array(Math.ceil(SIZE / LINE.length)).fill(LINE))],
  ['application/octet-stream', noise(SIZE)],
] as const) {
  test(`to Python, 25 MB of ${type} are the same after convert()`, { skip }, async () => {
    const out = await converted([bytes(`MIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n`), content], '7bit')
    assert.ok(typeof out !== 'string')
    assert.deepEqual(await leaves(out), [{ type, sha256: sha256(content) }])
  })
}

test('to Python, parts whose boundary never comes again are the same after convert()', { skip }, async () => {
  const inner = 'Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\n\xe4\r\n'
  assert.equal((await sameToPython(`${MIXED}--b\r\n${inner}--b\r\n\r\n\xfc`, '7bit')).length, 2)
  assert.equal((await sameToPython(`${MIXED}--b\r\n${inner}`, '7bit')).length, 1)
})

test('to Python, boundaries that begin like others are the same after convert()', { skip }, async () => {
  const inner = 'Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\n\xe4\r\n--c\r\n-b\r\n--b1--\r\n'
  assert.equal((await sameToPython(`${MIXED}--b\r\n${inner}--b\r\n\r\n\xe4\r\n--b--\r\n`, '7bit')).length, 2)
})

/** Multiparts in multiparts, with 8-bit text in the innermost. */
function nested(depth: number): string {
  const starts = Array.from({ length: depth }, (_, at) => {
    return `Content-Type: multipart/mixed; boundary="${at}."\r\n\r\n--${at}.\r\n`
  })
  const ends = starts.map((_, at) => `\r\n--${depth - 1 - at}.--\r\n`)
  return `MIME-Version: 1.0\r\n${starts.join('')}\r\n\xe4${ends.join('')}`
}

test('to Python, parts nested as deep as we go are the same after convert(); deeper, it cannot', { skip }, async () => {
  assert.equal((await sameToPython(nested(MIME_DEPTH), '7bit')).length, 1)
  assert.match(await shown(nested(MIME_DEPTH + 1), '7bit'), /^5\.6\.3 part 101 .* nested deeper than 100$/)
})

test('convert() takes hostile messages, and answers', async () => {
  const many = `${MIXED}${'--b\r\n\r\nx\r\n'.repeat(3 * MIME_PARTS)}`
  assert.equal(await shown(many, '7bit'), many)
  assert.match(await shown(`${many}\xe4`, '7bit'), /^5\.6\.3 part 3001 .* more than 1000 parts$/)
  const letters = `${'Content-Type: message/rfc822\r\n\r\n'.repeat(20_000)}\r\n`
  assert.match(await shown(`${letters}\xe4`, '7bit'), /^5\.6\.3 part 101 .* nested deeper than 100$/)
  const fields = 'X-Field: value\r\n'.repeat(100_000)
  assert.match(await shown(`${fields}\r\n\xe4\r\n`, '7bit'), /quoted-printable\r\n\r\n=E4\r\n$/)
  const folded = `Content-Type: multipart/mixed;\r\n${' x=y;\r\n'.repeat(100_000)} boundary=b\r\n\r\n\xe4`
  assert.match(await shown(folded, '7bit'), /^5\.6\.3 .* content-type field is longer than 8192 octets$/)
  const almost = `${MIXED}--b\r\n\r\n${'\r\n--'.repeat(200_000)}\xe4`
  assert.match(await shown(almost, '7bit'), /quoted-printable/)
})

// ── Whatever it is ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Tree =
  | { readonly kind: 'leaf'; readonly type: string; readonly encoding: string; readonly content: Uint8Array }
  | { readonly kind: 'multipart'; readonly subtype: string; readonly parts: readonly Tree[]; readonly around: string }
  | { readonly kind: 'message'; readonly inner: Tree }

/** `tricks` writes lines that look like delimiters of the tree into its leaves. */
function anyTree(tricks: boolean): fc.Arbitrary<Tree> {
  const words = [
    '\r\n',
    '\r\n',
    '\r',
    '\n',
    '\0',
    '\xe4',
    '\xff',
    ' \r\n',
    '-',
    '=',
    '.',
    'From ',
    'abc',
    'x'.repeat(999),
  ]
  const lines = tricks ? ['\r\n--1', '\r\n--1--\r\n', '\r\n--11\r\n', '--', '1', '\n--11'] : ['\r\n--z\r\n']
  const piece = fc.oneof(fc.constantFrom(...words, ...lines).map(bytes), fc.uint8Array({ maxLength: 90 }))
  const leaf = fc.record({
    kind: fc.constant('leaf' as const),
    type: fc.constantFrom('', 'text/plain', 'text/html; charset=utf-8', 'image/png; name=a', 'application/pdf'),
    encoding: fc.constantFrom('', '7bit', '8bit', 'binary', 'binary (c)'),
    content: fc.array(piece, { maxLength: 12 }).map(concat),
  })
  const around = fc.constantFrom('', 'around', 'ar\xf6und\r\n', '\0')
  return fc.letrec<{ tree: Tree; leaf: Tree; multipart: Tree; message: Tree }>(tie => ({
    tree: fc.oneof({ maxDepth: 4, withCrossShrink: true }, tie('leaf'), tie('multipart'), tie('message')),
    leaf,
    multipart: fc.record({
      kind: fc.constant('multipart' as const),
      subtype: fc.constantFrom('mixed', 'alternative', 'digest', 'x-new'),
      parts: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
      around,
    }),
    message: fc.record({ kind: fc.constant('message' as const), inner: tie('tree') }),
  })).tree
}

/** The whole message. Where a leaf ends it that is not binary, it ends in a line as it would after DATA. */
function whole(tree: Tree): string {
  const message = `MIME-Version: 1.0\r\n${written(tree)}`
  let last = tree
  while (last.kind === 'message') last = last.inner
  const isBinary = last.kind === 'leaf' && last.encoding.startsWith('b')
  return isBinary || message.endsWith('\r\n') ? message : `${message}\r\n`
}

/** The boundaries are 1, 11, 111 …: each begins as those around it do. */
function written(tree: Tree, depth = 1): string {
  switch (tree.kind) {
    case 'leaf': {
      const { type, encoding } = tree
      const fields = `${type && `Content-Type: ${type}\r\n`}${encoding && `Content-Transfer-Encoding: ${encoding}\r\n`}`
      return `${fields}\r\n${text(tree.content)}`
    }
    case 'multipart': {
      const { subtype, parts, around } = tree
      const line = `--${'1'.repeat(depth)}`
      const inside = parts.map(part => {
        // What says no type in a digest is a message.
        const named = subtype === 'digest' && part.kind === 'leaf' && part.type === '' ? { ...part, type: 'a/b' } : part
        return `${line}\r\n${written(named, depth + 1)}\r\n`
      })
      const field = `Content-Type: multipart/${subtype}; boundary=${line.slice(2)}\r\n`
      return `${field}\r\n${around === '' ? '' : `${around}\r\n`}${inside.join('')}${line}--\r\n${around}`
    }
    case 'message':
      return `Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n${written(tree.inner, depth)}`
  }
}

test('to Python, any tree of parts is the same after convert(), and converting it again changes nothing', {
  skip,
}, async () => {
  const anyCase = fc.tuple(anyTree(false), fc.constantFrom<Target>('7bit', '8bitmime'))
  await fc.assert(
    fc.asyncProperty(anyCase, async ([tree, to]) => {
      const message = whole(tree)
      const before = await leaves(bytes(message))
      const out = await converted(message, to)
      assert.ok(typeof out !== 'string', `cannot: ${out}`)
      assert.deepEqual(await leaves(out), before)
      assert.deepEqual(await converted([out], to), out)
    }),
    runs(300),
  )
})
test('to Python, a tree with lines like its delimiters is the same after convert(), or it cannot', {
  skip,
}, async () => {
  const anyCase = fc.tuple(anyTree(true), fc.constantFrom<Target>('7bit', '8bitmime'))
  let done = 0
  await fc.assert(
    fc.asyncProperty(anyCase, async ([tree, to]) => {
      const message = whole(tree)
      const out = await converted(message, to)
      if (typeof out === 'string') return assert.match(out, /^5\.6\.[37] /)
      done++
      assert.deepEqual(await leaves(out), await leaves(bytes(message)))
    }),
    runs(300),
  )
  assert.ok(done > 50, `only ${done} could be converted`)
})

test('convert() gives the same however the message is cut', async () => {
  await fc.assert(
    fc.asyncProperty(anyTree(true), anyCuts, fc.constantFrom<Target>('7bit', '8bitmime'), async (tree, cuts, to) => {
      const message = bytes(written(tree))
      const whole = await converted([message], to)
      assert.deepEqual(await converted(cut(message, cuts), to), whole)
      if (message.length < 2000) assert.deepEqual(await converted(singly(message), to), whole)
    }),
    runs(60),
  )
})

test('convert() holds no more of a long message than of a short one', async () => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const held = (): number => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const block = noise(65_536)
  for (const start of ['text/plain', 'a/b', 'multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/x']) {
    const growths: number[] = []
    const content: Content = async function* () {
      // What was let go is swept a little later: the least of some looks is what is held.
      let [early, late] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
      yield bytes(`MIME-Version: 1.0\r\nContent-Type: ${start}\r\n\r\n`)
      for (let i = 0; i < 400; i++) {
        if (i >= 20 && i < 30) early = Math.min(early, held())
        if (i >= 390) late = Math.min(late, held())
        yield block
      }
      growths.push(late - early)
    }
    const result = await convert(content, '7bit')
    assert.ok('size' in result && result.size > 400 * block.length)
    assert.equal(growths.length, 2)
    for (const growth of growths) assert.ok(growth < 1024 * 1024, `${growth} octets more after 25 MB than after 2`)
  }
})
