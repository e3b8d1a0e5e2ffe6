/** Who may log in, and how the questions of a mechanism are answered: from lines of configuration and from a file. */
import type { TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { HASHES, saltedPassword } from '../io/hashes.ts'
import { sameSecret } from '../io/secrets.ts'
import { MD4 } from '../smtp/sasl/md4.ts'
import type { Need, SaslAnswer, SaslQuestion, SaslServer } from '../smtp/sasl/mechanism.ts'
import { mechanismNamed, offer } from '../smtp/sasl/mechanisms.ts'
