import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDiagnostic } from '../base/problem.ts'
import { anySample, anyTyped } from './any-sample.test.ts'
import { type LineOptions, parse, parseLine } from './parse.ts'
import { EMPTY, SAMPLE, type Sample } from './sample.test.ts'
import { show } from './show.ts'

/** Everything that is said about a file. */
function complaints(text: string): string {
  return parse(SAMPLE, text, 'firewall.conf').problems.map(formatDiagnostic).join('\n')
}

/** What the console says to one line, or the line as it was understood. */
function typed(line: string, options: LineOptions = {}, config: Sample = EMPTY): string {
  const { config: next, problems } = parseLine(SAMPLE, config, line, options)
  return problems.length > 0 ? problems.map(formatDiagnostic).join('\n') : show(SAMPLE, next)
}

const INTERFACES = `\
nameif ethernet1 inside security100
nameif ethernet0 outside security0
nameif ethernet2 vpn security50
`

test('parse() points at a name that does not resolve', () => {
  assert.equal(
    complaints(`! The firewall of site B\n\n${INTERFACES}access-list MAIL permit tcp any any eq smtp
access-group MAIL in interface dmz\n`),
    `\
firewall.conf:7:32: error: no interface is called "dmz"
   access-group MAIL in interface dmz
                                  ^~~  known: inside, outside, vpn`,
  )
})

test('parse() tells all problems, in the order of the file, and takes the lines that are right', () => {
  const text = `\
acess-list MAIL permit tcp any any eq 25
nameif ethernet0 outside security0
nameif ethernet1 inside security101
fixup protocol smtp 25-24
fixup protocol stmp 25
access-group MAIL in interface dmz
ip address outside 192.0.2.300 255.255.255.0
ip address outside 192.0.2.2 0.0.0.255
fixup protocol smtp 2525
`
  assert.equal(
    complaints(text),
    `\
firewall.conf:1:1: error: unknown command "acess-list"
   acess-list MAIL permit tcp any any eq 25
   ^~~~~~~~~~  did you mean access-list?
firewall.conf:3:25: error: "security101" is not a security level
   nameif ethernet1 inside security101
                           ^~~~~~~~~~~  expected security0 to security100, in one word
firewall.conf:4:21: error: "25-24" is not a range of ports
   fixup protocol smtp 25-24
                       ^~~~~  expected the lower port first: 24-25
firewall.conf:5:16: error: unknown word "stmp"
   fixup protocol stmp 25
                  ^~~~  did you mean smtp?
firewall.conf:6:32: error: no interface is called "dmz"
   access-group MAIL in interface dmz
                                  ^~~  known: outside
firewall.conf:7:20: error: "192.0.2.300" is not an IPv4 address
   ip address outside 192.0.2.300 255.255.255.0
                      ^~~~~~~~~~~  expected dhcp or <ip>
firewall.conf:8:30: error: "0.0.0.255" is not a netmask
   ip address outside 192.0.2.2 0.0.0.255
                                ^~~~~~~~~  expected 255.255.255.0: this is the wildcard form of IOS`,
  )
  assert.equal(
    show(SAMPLE, parse(SAMPLE, text, 'firewall.conf').config),
    'nameif ethernet0 outside security0\nfixup protocol smtp 2525\naccess-group MAIL in interface dmz\n',
  )
})

test('a line that ends too soon is pointed at behind its end', () => {
  assert.equal(
    complaints(
      'fixup protocol smtp\nip\nnameif ethernet0 outside\naccess-list A permit tcp any host 10.0.0.1 eq  \nno',
    ),
    `\
firewall.conf:1:21: error: the line ends too soon
   fixup protocol smtp
                       ^  expected <ports>: a port or a range of ports, such as 25 or 25-26
firewall.conf:2:4: error: the line ends too soon
   ip
      ^  expected address or audit
firewall.conf:3:26: error: the line ends too soon
   nameif ethernet0 outside
                            ^  expected <security>: a security level: security0 is trusted least, security100 most
firewall.conf:4:47: error: the line ends too soon
   access-list A permit tcp any host 10.0.0.1 eq  
                                                 ^  expected <port>: a port, 1 to 65535, or its name, such as smtp
firewall.conf:5:4: error: the line ends too soon
   no
      ^  known: hostname, fixup, access-list, ip, static, access-group, banner`,
  )
})

test('words beyond the end of a command are underlined to the end', () => {
  assert.equal(
    complaints('fixup protocol smtp 25 and more\nstatic (a,b) 10.0.0.1 10.0.0.2 netmusk 255.0.0.0\nhostname a b'),
    `\
firewall.conf:1:24: error: "and" is too much
   fixup protocol smtp 25 and more
                          ^~~~~~~~  expected the end of the line
firewall.conf:2:32: error: unknown word "netmusk"
   static (a,b) 10.0.0.1 10.0.0.2 netmusk 255.0.0.0
                                  ^~~~~~~  did you mean netmask?
firewall.conf:3:12: error: "b" is too much
   hostname a b
              ^  expected the end of the line`,
  )
})

test('inside a word the part that is wrong is pointed at', () => {
  assert.equal(
    complaints(`${INTERFACES}static (inside,dmz) 10.0.0.1 10.0.0.2
static (in!side,vpn) 10.0.0.1 10.0.0.2
static (inside, vpn) 10.0.0.1 10.0.0.2
static inside,vpn 10.0.0.1 10.0.0.2
static "(inside,dmz)" 10.0.0.1 10.0.0.2`),
    `\
firewall.conf:4:16: error: no interface is called "dmz"
   static (inside,dmz) 10.0.0.1 10.0.0.2
                  ^~~  known: inside, outside, vpn
firewall.conf:5:9: error: "in!side" is not a name
   static (in!side,vpn) 10.0.0.1 10.0.0.2
           ^~~~~~~  expected letters, digits and _ . / + -, beginning with a letter or digit, 64 at most
firewall.conf:6:8: error: "(inside," does not have the form (<real>,<mapped>)
   static (inside, vpn) 10.0.0.1 10.0.0.2
          ^~~~~~~~  expected (<real>,<mapped>), in one word
firewall.conf:7:8: error: "inside,vpn" does not have the form (<real>,<mapped>)
   static inside,vpn 10.0.0.1 10.0.0.2
          ^~~~~~~~~~  expected (<real>,<mapped>), in one word
firewall.conf:8:8: error: no interface is called "dmz"
   static "(inside,dmz)" 10.0.0.1 10.0.0.2
          ^~~~~~~~~~~~~~  known: inside, outside, vpn`,
  )
})

test('an unknown command gets the list of those there are, or the one it was meant to be', () => {
  assert.equal(
    complaints('frobnicate 7\nNAMEIF ethernet0 outside security0\n"fixup" protocol smtp 25\nbanner modt hi\nsta (a,b)'),
    `\
firewall.conf:1:1: error: unknown command "frobnicate"
   frobnicate 7
   ^~~~~~~~~~  known: nameif, hostname, fixup, access-list, ip, static, access-group, banner
firewall.conf:2:1: error: unknown command "NAMEIF"
   NAMEIF ethernet0 outside security0
   ^~~~~~  did you mean nameif?
firewall.conf:3:1: error: unknown command "fixup"
   "fixup" protocol smtp 25
   ^~~~~~~  a word of a command stands without quotation marks
firewall.conf:4:8: error: unknown word "modt"
   banner modt hi
          ^~~~  did you mean motd?
firewall.conf:5:1: error: unknown command "sta"
   sta (a,b)
   ^~~  did you mean static?`,
  )
})

test('no undoes a line; where there is nothing to undo it with, that is said', () => {
  assert.equal(
    complaints(
      'fixup protocol smtp 25\nno fixup protocol smtp 25\nno nameif ethernet0 outside security0\nno fixpu x\nno x',
    ),
    `\
firewall.conf:3:1: error: this command has no "no" form
   no nameif ethernet0 outside security0
   ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~  to change it, give it anew: nameif <hardware:name> <name> <security>
firewall.conf:4:4: error: unknown command "fixpu"
   no fixpu x
      ^~~~~  did you mean fixup?
firewall.conf:5:4: error: unknown command "x"
   no x
      ^  known: hostname, fixup, access-list, ip, static, access-group, banner`,
  )
  const { config } = parse(SAMPLE, 'fixup protocol smtp 25\nhostname a\nno fixup protocol smtp 25\nno hostname', 'f')
  assert.deepEqual(config, EMPTY)
})

test('a warning stands beside the line, an error takes it back', () => {
  assert.equal(
    complaints('fixup protocol smtp 25\nfixup protocol smtp 25\nnameif e0 a security0\nnameif e1 a security1'),
    `\
firewall.conf:2:21: warning: these ports are inspected already
   fixup protocol smtp 25
                       ^~
firewall.conf:4:11: error: e0 is called "a" already
   nameif e1 a security1
             ^`,
  )
  assert.equal(
    typed('ip audit name x attack'),
    `\
console:1:1: error: nothing is audited here (attack)
   ip audit name x attack
   ^~~~~~~~~~~~~~~~~~~~~~`,
  )
})

test('a choice of parts is understood whole, one address after the other', () => {
  assert.equal(
    complaints(
      'access-list A permit tcp any\naccess-list A allow tcp any any\naccess-list A permit tcp hots 10.0.0.1 any',
    ),
    `\
firewall.conf:1:30: error: the line ends too soon
   access-list A permit tcp any
                                ^  expected any, host or <target>
firewall.conf:2:15: error: unknown word "allow"
   access-list A allow tcp any any
                 ^~~~~  expected permit or deny
firewall.conf:3:26: error: unknown word "hots"
   access-list A permit tcp hots 10.0.0.1 any
                            ^~~~  did you mean host?`,
  )
  assert.equal(
    typed('access-list A deny ip 10.53.7.0 255.255.255.0 host 10.54.7.10'),
    'access-list A deny ip 10.53.7.0 255.255.255.0 host 10.54.7.10\n',
  )
})

test('a console takes unambiguous abbreviations, a file does not', () => {
  const abbreviations = true
  assert.equal(typed('fix prot smtp 25', { abbreviations }), 'fixup protocol smtp 25\n')
  assert.equal(typed('FIXUP Prot sm smtp', { abbreviations }), 'fixup protocol smtp 25\n')
  assert.equal(typed('NO FIX PROT SMTP 25', { abbreviations }), '')
  assert.equal(
    typed('access-l IN p t a h 10.0.0.1 e 25', { abbreviations }),
    'access-list IN permit tcp any host 10.0.0.1 eq 25\n',
  )
  assert.equal(
    typed('access IN permit tcp any any', { abbreviations }),
    `\
console:1:1: error: ambiguous command "access"
   access IN permit tcp any any
   ^~~~~~  could be: access-list, access-group`,
  )
  assert.equal(
    typed('ip a inside dhcp', { abbreviations, file: 'pix', lineNumber: 12 }),
    `\
pix:12:4: error: ambiguous word "a"
   ip a inside dhcp
      ^  could be: address, audit`,
  )
  assert.equal(
    typed('fix prot smtp 25'),
    `\
console:1:1: error: unknown command "fix"
   fix prot smtp 25
   ^~~  did you mean fixup?`,
  )
})

test('parseLine() leaves the check of the whole to its caller, and a comment says nothing', () => {
  assert.equal(typed('access-group MAIL in interface dmz'), 'access-group MAIL in interface dmz\n')
  assert.equal(typed('! access-group'), '')
  assert.equal(typed('   '), '')
})

test('parse() takes any text without throwing, and what it makes of it is shown and read again', () => {
  fc.assert(
    fc.property(fc.array(anyTyped), fc.boolean(), (lines, abbreviations) => {
      const { config, problems } = parse(SAMPLE, lines.join('\n'), 'any.conf')
      for (const problem of problems) assert.ok(formatDiagnostic(problem).startsWith('any.conf:'))
      assert.equal(show(SAMPLE, parse(SAMPLE, show(SAMPLE, config), 'shown').config), show(SAMPLE, config))
      for (const line of lines) parseLine(SAMPLE, config, line, { abbreviations })
    }),
    { numRuns: 500 },
  )
})

test('a line that fails leaves the configuration as it was', () => {
  fc.assert(
    fc.property(anySample, anyTyped, (before, line) => {
      const { config, problems } = parseLine(SAMPLE, before, line.replaceAll('\n', ' '))
      if (problems.some(({ severity }) => severity === 'error')) assert.equal(config, before)
    }),
  )
})
