import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { alterationsBetween, exactSuspects, paired } from './both-ends.ts'
import { type Diagnosis, diagnose } from './diagnosis.ts'
import { sessionsOf } from './observation.ts'
import { type Read, readWritten } from './written.ts'

function read(content: string): Read {
  const found = readWritten(content, 'it.log')
  assert.ok(found)
  return found
}

function verdict(content: string): Diagnosis {
  return diagnose(read(content).observation)
}

const TRANSCRIPT = `# The case study.
subject: firewall

-- dialogue --
(client connects)
S: 220 mail.domainname.com Microsoft ESMTP MAIL Service, Version: 5.0.2195.2966 ready at  Sat, 29 Sep 2001 12:31:46 -0400
=> 220 *************************************************************0*2****2*******************2******200***2********0*00
C: EHLO remote-domain.com
=> XXXX remote-domain.com
S: 500 5.5.1 Command unrecognized: "XXXX remote-domain.com"
C: HELO remote-domain.com
S: 250 mail.domainname.com Hello [10.53.7.203]
`

test('a transcript with what came out of the firewall has both ends: the box is named and all is proven', () => {
  const { observation, far } = read(TRANSCRIPT)
  const pairs = sessionsOf(observation).flatMap((session, i) => paired(session, far?.[i] ?? { steps: [] }))
  const alterations = alterationsBetween(pairs)
  assert.deepEqual(
    alterations.map(({ kind, subject, after, grade }) => [kind, subject, after.slice(0, 8), grade]),
    [
      ['greeting', '', '220 ****', 'proven'],
      ['verb', 'EHLO', 'XXXX rem', 'proven'],
    ],
  )
  const [suspect] = exactSuspects(pairs, alterations)
  assert.match(suspect?.name ?? '', /^Cisco PIX 5\.1-6\.x MailGuard$/)
})

const SWAKS = `=== Trying 192.0.2.10:25...
=== Connected to 192.0.2.10.
<-  220 ****************************************************************
 -> EHLO client.example
<-  250-mx.example.com
<-  250-PIPELINING
<-  250-SIZE 10240000
<-  250-XXXXXXXA
<-  250-ENHANCEDSTATUSCODES
<-  250-8BITMIME
<-  250-DSN
<-  250-XXXXXXXB
<-  250 XXXXXXXC
*** STARTTLS attempted but not advertised
 -> QUIT
<-  221 2.0.0 Bye
=== Connection closed with remote host.
`

test('the output of swaks: an ASA, with what each masked keyword may have been', () => {
  const diagnosis = verdict(SWAKS)
  assert.equal(diagnosis.outcome, 'altered')
  assert.equal(diagnosis.target, '192.0.2.10:25')
  assert.equal(diagnosis.suspects[0]?.vendor, 'cisco-asa')
  const masked = diagnosis.alterations.filter(({ kind }) => kind === 'keyword-masked')
  assert.deepEqual(
    masked.map(({ after, candidates, grade }) => [after, candidates?.slice(0, 3), grade]),
    ['A', 'B', 'C'].map(letter => [`XXXXXXX${letter}`, ['STARTTLS', 'CHUNKING', 'SMTPUTF8'], 'proven']),
  )
})

test('in TLS the same list is whole: what was masked before is known', () => {
  const more = ` -> STARTTLS
<-  220 2.0.0 Ready
=== TLS started with cipher TLSv1.3:TLS_AES_256_GCM_SHA384:256
 ~> EHLO client.example
<~  250-mx.example.com
<~  250-PIPELINING
<~  250-SIZE 10240000
<~  250-ENHANCEDSTATUSCODES
<~  250-8BITMIME
<~  250-DSN
<~  250 SMTPUTF8
`
  const list = SWAKS.replace('<-  250-XXXXXXXA\n', '<-  250-STARTTLS\n')
    .replace('<-  250 XXXXXXXC\n', '')
    .replace('250-XXXXXXXB', '250 XXXXXXXA')
  const { alterations } = verdict(list.replace('*** STARTTLS attempted but not advertised\n', more))
  const masked = alterations.find(({ kind }) => kind === 'keyword-masked')
  assert.deepEqual([masked?.before, masked?.grade], ['SMTPUTF8', 'proven'])
})

test('the log of Postfix: the dialogue with -v, and its own words about a PIX without', () => {
  const head = 'Sep 29 12:31:46 mx postfix/smtp[4711]:'
  const verbose = [
    `${head} < mail.b.example[192.0.2.10]:25: 220 ****************************0*2****2****`,
    `${head} > mail.b.example[192.0.2.10]:25: HELO mx.a.example`,
    `${head} < mail.b.example[192.0.2.10]:25: 250 mail.b.example`,
  ]
  assert.equal(verdict(verbose.join('\n')).alterations[0]?.kind, 'greeting')
  const brief = `${head} 3F2A: enabling PIX workarounds: disable_esmtp delay_dotcrlf for mail.b.example[192.0.2.10]:25\n`
  const diagnosis = verdict(brief)
  assert.equal(diagnosis.target, 'mail.b.example[192.0.2.10]:25')
  assert.match(diagnosis.remarks.join('\n'), /Postfix took the greeting .* for that of a PIX/)
  const refused = `${head} 3F2A: to=<b@b.example>, relay=mail.b.example[192.0.2.10]:25, dsn=5.5.1, status=bounced (host mail.b.example[192.0.2.10] said: 500 5.5.1 Command unrecognized: "XXXX mx.a.example" (in reply to EHLO command))\n`
  assert.equal(verdict(refused).alterations.find(({ subject }) => subject === 'EHLO')?.grade, 'proven')
})

test('the protocol log of Exchange, sending and receiving', () => {
  const rows = [
    '2012-04-02T10:00:00.000Z,Out,08CE1,0,10.0.0.1:4711,192.0.2.10:25,+,,',
    '2012-04-02T10:00:00.100Z,Out,08CE1,1,10.0.0.1:4711,192.0.2.10:25,<,220 *****************************************************,',
    '2012-04-02T10:00:00.200Z,Out,08CE1,2,10.0.0.1:4711,192.0.2.10:25,>,EHLO mail.a.example,',
    '2012-04-02T10:00:00.300Z,Out,08CE1,3,10.0.0.1:4711,192.0.2.10:25,<,"500 5.5.1 Command unrecognized: ""XXXX mail.a.example""",',
  ]
  const head =
    '#Software: Microsoft Exchange Server\n#Log-type: SMTP Send Protocol Log\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n'
  const diagnosis = verdict(head + rows.join('\n'))
  assert.equal(diagnosis.target, '192.0.2.10:25')
  assert.deepEqual(
    diagnosis.alterations.map(({ kind }) => kind),
    ['greeting', 'verb'],
  )
  const turned = rows.map(row => row.replace(/,([<>]),/, (_, arrow) => (arrow === '<' ? ',>,' : ',<,'))).join('\n')
  assert.deepEqual(
    verdict(head.replace('Send', 'Receive') + turned).alterations.map(({ kind }) => kind),
    ['greeting', 'verb'],
  )
})

test('openssl s_client says little, and that is said', () => {
  const output = `CONNECTED(00000003)
Didn't find STARTTLS in server response, trying anyway...
140:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:ssl/record/ssl3_record.c:331:
---
no peer certificate available
`
  const { outcome, remarks } = verdict(output)
  assert.equal(outcome, 'unclear')
  assert.match(remarks.join('\n'), /did not find STARTTLS[\s\S]*STARTTLS was refused/)
})

test('whatever a file holds, it is read or not, and nothing breaks', () => {
  const seeds = [
    TRANSCRIPT,
    SWAKS,
    'x postfix/smtp[1]: < a[1]: 220 ***\n',
    '#Fields: data,event\n',
    'CONNECTED(00000003)\n250 X\n',
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(900), fc.string({ maxLength: 12 })), { maxLength: 8 }),
      (seed, changes) => {
        let content = seed
        for (const [at, piece] of changes) content = content.slice(0, at) + piece + content.slice(at + piece.length)
        const found = readWritten(content, 'it')
        if (found) diagnose(found.observation)
      },
    ),
    runs(300),
  )
})
