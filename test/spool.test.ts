import { MemorySpool } from '../src/io/memory-spool.ts'
import { spoolContract } from './contracts/spool.ts'

spoolContract('memory', limit => new MemorySpool({ limit }))
