import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { cite } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { checkRouting } from '../routing/commands.ts'
import { MTA } from './commands.ts'
import type { MtaConfig } from './config.ts'

const plain = (config: MtaConfig): unknown =>
  JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' ? undefined : value)))

const one = (...words: readonly (string | fc.Arbitrary<unknown>)[]): fc.Arbitrary<string> =>
  fc.tuple(...words.map(word => (typeof word === 'string' ? fc.constant(word) : word))).map(parts => parts.join(' '))

const anyDomain = fc.constantFrom('a.example', 'b.example', 'grüße.example')
const anyIp = fc.nat(255).map(d => `10.53.7.${d}`)
const anyConnector = fc.constantFrom('A-to-B', 'A-to-C')
const anyWait = fc.constantFrom('250ms', '90s', '10m', '60m', '1h', '2d', '24h')
const anyLine: fc.Arbitrary<string> = fc.oneof(
  one('hostname', anyDomain),
  one('dialect', fc.constantFrom('postern', 'exchange2000', 'exchange2000 version 6.0.3790.0')),
  one(fc.constantFrom('unknown-verb quote', 'no unknown-verb quote', 'auth-without-tls', 'no auth-without-tls')),
  one(fc.constantFrom('listen', 'no listen'), anyIp),
  one('listen', anyIp, 'port', fc.constantFrom('25', '587')),
  one('local-domain', anyDomain),
  one(
    fc.constantFrom('mailbox', 'no mailbox'),
    fc.constantFrom('bob@a.example', 'BOB@A.example', 'ann+x@b.example', 'grüße@a.example'),
  ),
  one(
    fc.constantFrom('relay-from', 'no relay-from'),
    fc.constantFrom('2001:db8::/32', '::1/128', '2001:DB8:0::/32', '::/0', '2001:db8::1'),
  ),
  one('trust-proxy', fc.constantFrom('2001:db8:1::/48', '::1/128'), fc.constantFrom('xclient', 'proxy-protocol')),
  one('no trust-proxy 2001:db8:1::/48'),
  one(fc.constantFrom('relay-from', 'no relay-from'), anyIp, fc.constantFrom('255.255.255.0', '255.255.255.255')),
  one('login', fc.constantFrom('u', 'v'), 'password-file', fc.constantFrom('secrets/a', 'b')),
  one('no login', fc.constantFrom('u', 'v')),
  one(
    'sender-of',
    fc.constantFrom('u', '*', '"two words"'),
    fc.constantFrom('*', '@a.example', 'a@a.example c@c.example', '@x.example a@b.example'),
  ),
  one('no sender-of', fc.constantFrom('u', '*')),
  one(fc.constantFrom('listen', 'no listen'), anyIp, fc.constantFrom('tls', 'port 465 tls', 'port 2525 tls')),
  one(fc.constantFrom('tls certificate tls/mail.pem key "tls/the key.pem"', 'no tls certificate')),
  one(fc.constantFrom('tls required', 'no tls required', 'vrfy', 'no vrfy', 'ntlm', 'no ntlm', 'no accounts')),
  one(fc.constantFrom('extension', 'no extension'), fc.constantFrom('ETRN', 'STARTTLS', '8BITMIME')),
  one('limit', fc.constantFrom('idle 5m', 'idle 10s', 'recipients 100', 'recipients 99', 'data-rate 1k', 'junk 5')),
  one('no limit', fc.constantFrom('idle', 'recipients')),
  one(fc.constantFrom('trust-proxy', 'no trust-proxy'), anyIp, '255.255.255.0', fc.constantFrom('', 'xclient')),
  one('pix-workarounds', fc.constantFrom('disable_esmtp', 'disable_esmtp delay_dotcrlf', 'delay_dotcrlf delay 1s')),
  one(fc.constantFrom('no pix-workarounds', 'pix-workarounds disable_esmtp delay_dotcrlf threshold 1m')),
  one(fc.constantFrom('accounts secrets/accounts', 'gssapi keytab k', 'no gssapi')),
  one(fc.constantFrom('turn-domain', 'no turn-domain'), anyDomain, fc.constantFrom('', 'login u')),
  one(
    'connector-tls',
    anyConnector,
    fc.constantFrom('none', 'may', 'require implicit', 'verify name mx.example ca ca.pem'),
  ),
  one('connector-tls', anyConnector, 'pinned', fc.constantFrom('00'.repeat(32), `${'AB:'.repeat(31)}CD`, 'nonsense')),
  one('no connector-tls', anyConnector),
  one(
    fc.constantFrom('dns server', 'no dns server'),
    fc.constantFrom('192.0.2.53', '::1 port 5353', '192.0.2.53 trusted'),
  ),
  one(
    'destination-tls',
    fc.constantFrom('b.example', '*.b.example', '*'),
    fc.constantFrom('none', 'verify', 'require'),
  ),
  one(fc.constantFrom('no destination-tls b.example', 'mta-sts off', 'no mta-sts off', 'no deliver')),
  one('deliver lmtp', fc.constantFrom('127.0.0.1 port 24', '::1 port 24', '/run/lmtp', '"the store"')),
  one(fc.constantFrom('spool memory', 'spool /var/spool/postern', 'spool "the queue" size 10G', 'no spool')),
  one(fc.constantFrom('sendmail-drop /var/spool/postern-drop', 'sendmail-drop "left here"', 'no sendmail-drop')),
  one('queue retry', fc.constantFrom('exchange2003', 'iis', '10m 20m', '10m 10m 10m 15m')),
  one(fc.constantFrom('queue delay-report never', 'queue delay-report 4h', 'no queue delay-report')),
  one(
    fc.constantFrom(
      'queue per-destination connections 5 messages 1',
      'queue per-destination connections 5 messages 9 rest 30s',
      'no queue per-destination',
      'queue all-destinations connections 50 unproven 20 patience 30s',
      'no queue all-destinations',
    ),
  ),
  one(
    'connector-login',
    anyConnector,
    fc.constantFrom('auth gssapi', 'auth any u password-file f', 'auth any required'),
  ),
  one(
    'connector-pull',
    anyConnector,
    fc.constantFrom('etrn every 10m for a.example', 'atrn every 1h', 'turn every 1d'),
  ),
  one('no connector-pull', anyConnector),
  one(
    fc.constantFrom('alias', 'no alias'),
    fc.constantFrom('sales', 'root@a.example', '"two words"'),
    fc.constantFrom('bob', 'bob@a.example, carol@c.example', '\\sales x@y.example', '"a b"@c.example'),
  ),
  one(fc.constantFrom('aliases /etc/aliases', 'aliases "the aliases"', 'no aliases')),
  one(fc.constantFrom('logging json mail.log', 'logging json "a b.log" errors', 'no logging json mail.log')),
  one(fc.constantFrom('metrics listen 127.0.0.1 9925', 'metrics listen 10.0.0.1 9', 'no metrics listen')),
  one(fc.constantFrom('user postern', 'user nobody', 'no user')),
  one('message-size', fc.constantFrom('1', '1024', '64k', '1000k', '10m', '2g')),
  one(
    'queue retry',
    fc.array(anyWait, { minLength: 1, maxLength: 4 }).map(waits => waits.join(' ')),
  ),
  one('queue expire', anyWait),
  one('routing-group', fc.constantFrom('A', 'B')),
  one('connector', anyConnector, 'to', fc.constantFrom('B', 'C'), 'cost', fc.nat(101), 'target', anyIp),
  one('connector', anyConnector, 'to B cost 1 target', anyIp, 'port 2525'),
  one('no connector', anyConnector),
  one('address-space', anyConnector, 'smtp', fc.constantFrom('*', '*.b.example', 'b.example', 'b.example cost 7')),
  one('no address-space', anyConnector, 'smtp *'),
  one('connector-login', anyConnector, 'x-exps login u password-file f', fc.constantFrom('', 'required')),
  one('no connector-login', anyConnector),
)

test('whatever is configured, the text of an MTA reads as the same configuration', () => {
  fc.assert(
    fc.property(fc.array(anyLine, { maxLength: 20 }), lines => {
      // A line may be refused, as a person's may: what stands then is what must read back.
      const { config } = parse(MTA, `${lines.join('\n')}\n`, 'mta.conf')
      const text = show(MTA, config)
      const { config: again, problems } = parse(MTA, text, 'mta.conf')
      // What is wrong with the whole, and no line alone, is still wrong with it.
      const whole = checkRouting(config.routing, config.hostname).map(({ message }) => message)
      assert.deepEqual(
        problems.map(({ message }) => message),
        whole,
        text,
      )
      assert.deepEqual(plain(again), plain(config), text)
    }),
    runs(600),
  )
})

test('a mistake is pointed at: the line, and the word in it', () => {
  const at = (line: string) => {
    const { problems } = parse(MTA, `local-domain a.example\n${line}\n`, 'mta.conf')
    return problems.map(({ at }) => at && `${cite(at)} ${at.text.slice(at.column - 1, at.column - 1 + at.length)}`)
  }
  assert.deepEqual(at('mailbox eve@e.example'), ['mta.conf:2 eve@e.example'])
  assert.deepEqual(at('connector X to Y cost 0 target 10.0.0.1'), ['mta.conf:2 0'])
  assert.deepEqual(at('address-space A-to-D smtp *'), ['mta.conf:2 A-to-D'])
  assert.deepEqual(at('listen 10.0.0.256'), ['mta.conf:2 10.0.0.256'])
})
