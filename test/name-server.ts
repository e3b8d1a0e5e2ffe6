/** A name server for tests, over UDP and TCP at one port of 127.0.0.1: it knows what it is told, and nothing else. */
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import packet, { type Answer } from 'dns-packet'

export interface Zone {
  /** By name and type, as `b.example MX`: records as dns-packet has them. A name with any type is there. */
  readonly [question: string]: readonly unknown[] | 'SERVFAIL' | 'silence'
}

export interface NameServer {
  readonly port: number
  /** What was asked, in order: `b.example MX`. */
  readonly asked: string[]
  close(): void
}

export interface NameServerOptions {
  readonly ttl?: number
  /** Does it say that it validated what it says (AD)? */
  readonly secure?: boolean | ((name: string) => boolean)
  /** Does nothing fit in a datagram? Then all must be asked for by TCP. */
  readonly truncates?: boolean
}

export async function nameServer(zone: Zone, options: NameServerOptions = {}): Promise<NameServer> {
  const asked: string[] = []
  const tcp = net.createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', chunk => {
      const answer = answerTo(chunk.subarray(2), zone, { ...options, truncates: false }, () => {})
      if (!answer) return
      const length = Buffer.alloc(2)
      length.writeUInt16BE(answer.length)
      socket.end(Buffer.concat([length, answer]))
    })
  })
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  const { port } = tcp.address() as net.AddressInfo
  const udp = dgram.createSocket('udp4')
  udp.on('message', (query, from) => {
    const answer = answerTo(query, zone, options, question => asked.push(question))
    if (answer) udp.send(answer, from.port, from.address)
  })
  udp.bind(port, '127.0.0.1')
  await once(udp, 'listening')
  return {
    port,
    asked,
    close() {
      tcp.close()
      udp.close()
    },
  }
}

function answerTo(
  query: Buffer,
  zone: Zone,
  { ttl = 300, secure = false, truncates = false }: NameServerOptions,
  note: (question: string) => void,
): Buffer | undefined {
  const { id = 0, questions = [] } = packet.decode(query)
  const [question] = questions
  if (!question) return undefined
  const key = `${question.name.toLowerCase()} ${question.type}`
  note(key)
  const answers: Answer[] = []
  let name = question.name.toLowerCase()
  let found = zone[key]
  for (let alias = zone[`${name} CNAME`]; !found && Array.isArray(alias); alias = zone[`${name} CNAME`]) {
    answers.push({ name, type: 'CNAME', ttl, data: String(alias[0]) })
    name = String(alias[0])
    found = zone[`${name} ${question.type}`]
  }
  if (found === 'silence') return undefined
  if (Array.isArray(found))
    answers.push(...found.map(data => ({ name, type: question.type, ttl, data }) as unknown as Answer))
  const isThere = Object.keys(zone).some(each => each.startsWith(`${name} `))
  const rcode = found === 'SERVFAIL' ? 2 : isThere ? 0 : 3
  const isSecure = typeof secure === 'function' ? secure(question.name) : secure
  const flags =
    packet.RECURSION_DESIRED |
    packet.RECURSION_AVAILABLE |
    (isSecure ? packet.AUTHENTIC_DATA : 0) |
    (truncates ? packet.TRUNCATED_RESPONSE : 0) |
    rcode
  const soa: Answer = {
    name: 'example',
    type: 'SOA',
    ttl,
    data: { mname: 'ns.example', rname: 'root.example', minimum: ttl, serial: 1, refresh: 1, retry: 1, expire: 1 },
  }
  return packet.encode({
    type: 'response',
    id,
    flags,
    questions,
    answers: truncates ? [] : answers,
    ...(answers.length === 0 && { authorities: [soa] }),
  })
}
