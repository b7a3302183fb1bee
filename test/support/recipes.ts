import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { temporaryFolder } from './service.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Debian's package. The Go proxy cannot be reached from every machine. */
const GOLANG_JWT = '/usr/share/gocode/src/github.com/golang-jwt/jwt'

/** The code of each recipe in docs/other-languages.md, by its file name. */
export function readRecipes(): Record<string, string> {
  const page = readFileSync(join(ROOT, 'docs/other-languages.md'), 'utf8')
  const blocks = page.matchAll(/<!-- recipe: (\S+) -->\n\n```\w+\n(.*?)```\n/gs)
  return Object.fromEntries([...blocks].map(([, file = '', code = '']) => [file, code]))
}

/**
 * A program around each recipe. It answers `verify TOKEN` and `live TOKEN` by `good`, `refused` or `unavailable`, as the page
 * tells the reader to treat the result.
 */
const drivers: Record<string, { file: string; code: string; command(folder: string): string[] }> = {
  'pyjwt.py': {
    file: 'driver.py',
    code: `
import json, sys
import jwt, pyjwt
print("ready", flush=True)
for line in sys.stdin:
    what, _, token = line.strip().partition(" ")
    try:
        print("good", json.dumps((pyjwt.verify if what == "verify" else pyjwt.verify_live)(token)), flush=True)
    except jwt.PyJWTError as reason:
        print("refused", reason, flush=True)
    except OSError as reason:
        print("unavailable", reason, flush=True)
`,
    command: (folder) => ['/usr/bin/python3', join(folder, 'driver.py')],
  },
  'auth/auth.go': {
    file: 'main.go',
    code: `package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"recipe/auth"
)

func main() {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		what, token, _ := strings.Cut(lines.Text(), " ")
		verify := auth.VerifyLive
		if what == "verify" {
			verify = auth.Verify
		}
		claims, err := verify(token)
		switch {
		case errors.Is(err, auth.ErrUnavailable):
			fmt.Println("unavailable", err)
		case err != nil:
			fmt.Println("refused", err)
		default:
			text, _ := json.Marshal(claims)
			fmt.Printf("good %s\\n", text)
		}
	}
}
`,
    command(folder) {
      const lines = [
        'module recipe\n\ngo 1.18\n\nrequire github.com/golang-jwt/jwt/v4 v4.4.3',
        `replace github.com/golang-jwt/jwt/v4 => ${GOLANG_JWT}\n`,
      ]
      writeFileSync(join(folder, 'go.mod'), lines.join('\n'))
      execFileSync('go', ['vet', './...'], { cwd: folder })
      execFileSync('go', ['build', '-o', 'driver', '.'], { cwd: folder })
      return [join(folder, 'driver')]
    },
  },
  'auth.mjs': {
    file: 'driver.mjs',
    code: `
import { createInterface } from 'node:readline'
import { errors } from 'jose'
import { verify, verifyLive } from './auth.mjs'
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [what, token] = line.split(' ')
  try {
    const claims = await (what === 'verify' ? verify : verifyLive)(token)
    console.log(claims ? 'good ' + JSON.stringify(claims) : 'refused')
  } catch (error) {
    const isRefused = error instanceof errors.JOSEError && !['ERR_JWKS_TIMEOUT', 'ERR_JOSE_GENERIC'].includes(error.code)
    console.log(isRefused ? 'refused' : 'unavailable', String(error).replaceAll('\\n', ' '))
  }
}
`,
    command: (folder) => [process.execPath, join(folder, 'driver.mjs')],
  },
  'worker.mjs': {
    file: 'driver.mjs',
    code: `
import { createInterface } from 'node:readline'
import worker from './worker.mjs'
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const headers = { authorization: 'Bearer ' + line.split(' ')[1] }
  const response = await worker.fetch(new Request('https://app.example.com/', { headers }), process.env)
  if (response.status === 200) console.log('good', await response.text())
  else console.log({ 401: 'refused', 503: 'unavailable' }[response.status] ?? response.status)
}
`,
    command: (folder) => [process.execPath, join(folder, 'driver.mjs')],
  },
}

/** Writes a recipe and the program around it into a folder. Returns the command. */
export function recipeCommand(t: Test, file: string): string[] {
  const folder = temporaryFolder(t)
  const path = file.endsWith('.go') ? `auth/${file}` : file
  const driver = drivers[path]
  if (!driver) throw new Error(`no test runs the recipe ${file}`)
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), readRecipes()[file] ?? '')
  writeFileSync(join(folder, driver.file), driver.code)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(join(ROOT, 'node_modules/jose'), join(folder, 'node_modules/jose'))
  return driver.command(folder)
}
