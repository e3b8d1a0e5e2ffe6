/** Asks name servers, over UDP and, where an answer is too long for that, TCP (RFC 1035, RFC 7766). */
import { randomInt } from 'node:crypto'
import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'
import packet, { type Answer as Answered, type DecodedPacket } from 'dns-packet'
import { lower } from '../base/bytes.ts'
import { Expiring } from '../base/expiring.ts'
import type { Duration } from '../base/time.ts'
import type { DnsServer } from '../mta/config.ts'
import type { DnsAnswer, Records, RecordType, Resolver } from '../mta/resolver.ts'
import { domainKey } from '../smtp/address.ts'
import { now } from './clock.ts'

/** One server's time for one question, before the next is asked. */
export const ANSWER_WAIT: Duration = 3_000
/** How often all servers are asked, in turn. */
export const ROUNDS = 2
/** A name that stands for a name that stands for a name: so many, and no more. */
export const MOST_ALIASES = 8
/** Answers that are remembered; the oldest go where there are more. */
export const MOST_ANSWERS = 10_000
/** The longest that an answer is remembered, whatever it says of itself; and that there is nothing (RFC 2308 §5). */
export const LONGEST: Duration = 86_400_000
export const LONGEST_NOTHING: Duration = 3_600_000
/** Octets of an answer over UDP that need no fragments. */
const UDP_SIZE = 1232
/** Octets of an answer over TCP. */
const TCP_SIZE = 65_535

/** The servers of this machine. None of them is trusted: nobody said that it validates. */
export function systemServers(): readonly DnsServer[] {
  return dns.getServers().map(each => {
    const [, six, port] = /^\[(.*)\]:(\d+)$/.exec(each) ?? []
    if (six !== undefined) return { ip: six, port: Number(port), trusted: false }
    const [, four = each, at = '53'] = /^(\d+\.\d+\.\d+\.\d+)(?::(\d+))?$/.exec(each) ?? []
    return { ip: four, port: Number(at), trusted: false }
  })
}

interface Kept {
  readonly answer: DnsAnswer<unknown>
  readonly lasts: Duration
}

/** A resolver that asks these servers, in their order, and remembers what they said for as long as they said. */
export class DnsResolver implements Resolver {
  readonly #servers: readonly DnsServer[]
  readonly #wait: Duration
  readonly #kept = new Expiring<DnsAnswer<unknown>>(MOST_ANSWERS)
  /** Questions under way: who asks the same waits for the same answer. */
  readonly #asking = new Map<string, Promise<DnsAnswer<unknown>>>()

  constructor(servers: readonly DnsServer[], { wait = ANSWER_WAIT }: { readonly wait?: Duration } = {}) {
    this.#servers = servers
    this.#wait = wait
  }

  resolve<Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Records[Type]>> {
    const ascii = asciiOf(name)
    if (ascii === '') return Promise.resolve({ kind: 'no-such-name', isSecure: false })
    const key = `${type} ${ascii}`
    const known = this.#kept.get(key, now()) ?? this.#asking.get(key)
    const answer = known ?? this.#ask(key, ascii, type)
    // The table of types says what is in an answer to which.
    return Promise.resolve(answer) as Promise<DnsAnswer<Records[Type]>>
  }

  #ask(key: string, name: string, type: RecordType): Promise<DnsAnswer<unknown>> {
    const asking = this.#follow(name, type)
      .catch((cause): Kept => ({ answer: { kind: 'failed', why: wordsOf(cause) }, lasts: 0 }))
      .then(({ answer, lasts }) => {
        this.#asking.delete(key)
        if (lasts > 0) this.#kept.set(key, answer, now() + lasts)
        return answer
      })
    this.#asking.set(key, asking)
    return asking
  }

  /** A server may answer with an alias alone; then the name behind it is asked for. */
  async #follow(name: string, type: RecordType): Promise<Kept> {
    let [at, lasts, isSecure] = [name, LONGEST, true]
    for (let asked = 0; asked <= MOST_ALIASES; asked++) {
      const { decoded, trusted } = await this.#query(at, type)
      const read = readAnswer(decoded, at, type)
      isSecure &&= trusted && decoded.flag_ad
      lasts = Math.min(lasts, read.lasts)
      if (read.kind === 'found') return { answer: { kind: 'found', records: read.records, isSecure }, lasts }
      if (read.kind !== 'alias')
        return { answer: { kind: read.kind, isSecure }, lasts: Math.min(lasts, LONGEST_NOTHING) }
      at = read.target
    }
    return { answer: { kind: 'failed', why: `${name} stands for too many other names` }, lasts: 0 }
  }

  async #query(
    name: string,
    type: RecordType,
  ): Promise<{ readonly decoded: DecodedPacket; readonly trusted: boolean }> {
    let why = 'there is no name server to ask'
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of this.#servers) {
        try {
          const decoded = await exchange(server, { name, type }, this.#wait)
          const rcode = rcodeOf(decoded)
          if (rcode === 'NOERROR' || rcode === 'NXDOMAIN') return { decoded, trusted: server.trusted }
          why = `${server.ip} says ${rcode} of ${name}`
        } catch (cause) {
          why = `${server.ip} ${wordsOf(cause)}`
        }
      }
    }
    throw new Error(why)
  }
}

type Read =
  | { readonly kind: 'found'; readonly records: readonly unknown[]; readonly lasts: Duration }
  | { readonly kind: 'alias'; readonly target: string; readonly lasts: Duration }
  | { readonly kind: 'empty' | 'no-such-name'; readonly lasts: Duration }

/** What an answer says of a name, through the aliases that are in it. */
function readAnswer(decoded: DecodedPacket, name: string, type: RecordType): Read {
  const answers = decoded.answers ?? []
  let [at, ttl] = [lower(name), LONGEST / 1000]
  const ttlOf = (each: Answered): number => ('ttl' in each && typeof each.ttl === 'number' ? each.ttl : 0)
  for (let i = 0; i <= MOST_ALIASES; i++) {
    const here = answers.filter(each => lower(each.name) === at && isInternet(each))
    const found = here.filter(each => each.type === type)
    if (found.length > 0) {
      const records = found.map(each => RECORDS[type]((each as { readonly data: unknown }).data as never))
      return { kind: 'found', records, lasts: 1000 * Math.min(ttl, ...found.map(ttlOf)) }
    }
    const alias = here.find(each => each.type === 'CNAME')
    if (!alias) break
    at = lower(String((alias as { readonly data: unknown }).data))
    ttl = Math.min(ttl, ttlOf(alias))
  }
  const isThere = rcodeOf(decoded) !== 'NXDOMAIN'
  // Of a chain that leads out of the answer only the end is missing.
  if (isThere && at !== lower(name)) return { kind: 'alias', target: at, lasts: 1000 * ttl }
  const soa = (decoded.authorities ?? []).find(each => each.type === 'SOA')
  const minimum = soa?.type === 'SOA' ? Math.min(ttlOf(soa), soa.data.minimum ?? 0) : 0
  return { kind: isThere ? 'empty' : 'no-such-name', lasts: 1000 * Math.min(ttl, minimum) }
}

/** From what the packet holds to what delivery knows. */
const RECORDS: { readonly [Type in RecordType]: (data: never) => Records[Type] } = {
  MX: ({ preference = 0, exchange: host }: packet.MxData) => ({ preference, host: host === '.' ? '' : host }),
  A: (data: string) => data,
  AAAA: (data: string) => data,
  TXT: (data: packet.TxtData) => [data].flat().map(String).join(''),
  TLSA: ({ usage, selector, matchingType, certificate }: packet.TlsaData) => ({
    usage,
    selector,
    matching: matchingType,
    data: new Uint8Array(certificate),
  }),
}

interface Question {
  readonly name: string
  readonly type: RecordType
}

/** What a server says that has never heard of EDNS (RFC 6891 §7), or is behind something that has not. */
const NO_EDNS: ReadonlySet<string> = new Set(['FORMERR', 'NOTIMP'])

/** With EDNS, for a longer answer; without where that is not understood. */
async function exchange(server: DnsServer, question: Question, wait: Duration): Promise<DecodedPacket> {
  const answer = await asked(server, question, { wait, edns: true })
  return NO_EDNS.has(rcodeOf(answer)) ? asked(server, question, { wait, edns: false }) : answer
}

/** By UDP, and by TCP where the answer did not fit. */
async function asked(
  server: DnsServer,
  question: Question,
  { wait, edns }: { readonly wait: Duration; readonly edns: boolean },
): Promise<DecodedPacket> {
  const id = randomInt(0x1_0000)
  const query = packet.encode({
    type: 'query',
    id,
    // AD in a question asks for AD in the answer (RFC 6840 §5.7).
    flags: packet.RECURSION_DESIRED | packet.AUTHENTIC_DATA,
    questions: [question],
    additionals: edns ? [{ type: 'OPT', name: '.', udpPayloadSize: UDP_SIZE, flags: 0, options: [] } as never] : [],
  })
  const isOurs = (octets: Buffer): DecodedPacket | undefined => answerTo(octets, id, question)
  const short = await overUdp(server, query, { wait, isOurs })
  return short.flag_tc ? overTcp(server, query, { wait, isOurs }) : short
}

/** The answer to this question, or `undefined` for what anybody may have sent. */
function answerTo(octets: Buffer, id: number, { name, type }: Question): DecodedPacket | undefined {
  try {
    const decoded = packet.decode(octets)
    if (decoded.type !== 'response' || decoded.id !== id) return undefined
    const [asked, ...more] = decoded.questions ?? []
    // Who did not understand the question need not repeat it.
    if (!asked) return NO_EDNS.has(rcodeOf(decoded)) ? decoded : undefined
    const fits = more.length === 0 && asked.type === type && isInternet(asked) && lower(asked.name) === lower(name)
    return fits ? decoded : undefined
  } catch {
    return undefined
  }
}

interface Exchange {
  readonly wait: Duration
  readonly isOurs: (octets: Buffer) => DecodedPacket | undefined
}

function overUdp({ ip, port }: DnsServer, query: Buffer, { wait, isOurs }: Exchange): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    // A socket of its own, so a port of its own: who would forge an answer has to guess both (RFC 5452 §9.2).
    const socket = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4')
    let isOver = false
    const done = (result: () => void) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      socket.close()
      result()
    }
    const fail = (why: string) => done(() => reject(new Error(why)))
    const timer = setTimeout(() => fail('did not answer in time'), wait)
    socket.on('message', octets => {
      const answer = isOurs(octets)
      if (answer) done(() => resolve(answer))
    })
    socket.on('error', cause => fail(cause.message))
    // Connected, it hears nobody else.
    socket.connect(port, ip, () => socket.send(query))
  })
}

function overTcp({ ip, port }: DnsServer, query: Buffer, { wait, isOurs }: Exchange): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: ip, port })
    let held: Buffer = Buffer.alloc(0)
    const done = (result: () => void) => {
      clearTimeout(timer)
      socket.destroy()
      result()
    }
    const fail = (why: string) => done(() => reject(new Error(why)))
    const timer = setTimeout(() => fail('did not answer in time'), wait)
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(query.length)
      socket.write(Buffer.concat([length, query]))
    })
    socket.on('data', chunk => {
      held = Buffer.concat([held, chunk])
      const length = held.length < 2 ? TCP_SIZE : held.readUInt16BE(0)
      if (held.length < 2 + length) return
      const answer = isOurs(held.subarray(2, 2 + length))
      if (answer) done(() => resolve(answer))
      else fail('answered something else')
    })
    socket.on('error', cause => fail(cause.message))
    socket.on('close', () => fail('closed the connection'))
  })
}

function rcodeOf(decoded: DecodedPacket): string {
  return String((decoded as { readonly rcode?: string }).rcode)
}

/** There are other classes of records; nobody asked for those. */
function isInternet(each: object): boolean {
  return 'class' in each && each.class === 'IN'
}

/** What a label of a host name, or of a service (RFC 8552), is made of; in lower case. */
const LABEL = /^[a-z0-9_-]{1,63}$/
const MAX_NAME = 253

/** A name as the DNS has it, and as domains are compared everywhere else; empty for what is none. */
function asciiOf(name: string): string {
  const ascii = domainKey(name)
  return ascii.length <= MAX_NAME && ascii.split('.').every(label => LABEL.test(label)) ? ascii : ''
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
