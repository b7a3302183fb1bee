import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { latchkey, latchkeyProcess, operatorEnvironment } from '../support/latchkey.js'
import { freePort } from '../support/servers/ports.js'
import { environment, temporaryFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** A group of its own, the exit of a real process, and the server, which sets up its process. */
const needsProcess = ([name]: string[]) => name === 'serv' || name === 'migrate' || name === 'serve'

interface Help {
  path: string[]
  code: number | null
  text: string
  /** Each command of a group, with its line in the help of the group. Undefined for a command. */
  commands: Map<string, string> | undefined
}

/** The help of this command, and of each command below it that the help of a group names. */
async function readHelp(path: string[] = []): Promise<Help[]> {
  const { code, stdout: text } = await latchkey([...path, '--help'])
  if (!text.includes('\nHelp for one command: ')) return [{ path, code, text, commands: undefined }]
  const lines = [...text.matchAll(/^ {2}(\S+) {3,}(\S.*)$/gm)]
  const commands = new Map(lines.map(([, name = '', about = '']) => [name, about]))
  const all: Help[] = [{ path, code, text, commands }]
  for (const name of commands.keys()) all.push(...(await readHelp([...path, name])))
  return all
}

test('every command has its own --help, and the help of its group names it', async (t) => {
  const top = await latchkeyProcess(['--help'])
  t.equal(top.code, 0)
  const all = await readHelp()
  t.equal(all[0]?.text, top.stdout)
  for (const { path, code, text, commands } of all) {
    const called = ['latchkey', ...path].join(' ')
    t.equal(code, 0, called)
    if (commands) {
      t.ok(commands.size > 0, called)
      t.ok(text.trimEnd().endsWith(`\n\nHelp for one command: ${called} help COMMAND`), called)
    } else {
      t.match(text, new RegExp(`^  ${called} (\\S+ )*\\[OPTIONS\\]$`, 'm'))
      for (const option of ['--json', '--help']) t.match(text, new RegExp(`^  ${option} +\\S`, 'm'), called)
    }
    const group = all.find((other) => path.length > 0 && other.path.join(' ') === path.slice(0, -1).join(' '))
    if (group) t.equal(group.commands?.get(path.at(-1) as string), text.split('\n')[0], called)
  }
  // The completion script lists the commands too, and does not read the help.
  const { stdout: script } = await latchkey(['completion', 'bash'])
  const completed = [...script.matchAll(/^ {4}" ([^"]+)"\*\) /gm)].map(([, path]) => path)
  const paths = all.slice(1).map(({ path }) => path.join(' '))
  t.strictSame(paths.sort(), completed.sort())

  const [short, long] = [
    await latchkey(['users', 'create', '-h']),
    await latchkey(['users', 'create', 'ada', '--help']),
  ]
  t.match(short.stdout, /latchkey users create NAME \[OPTIONS\]\n(.*\n)*.*--role ROLE +\S.*\n(.*\n)*.*--json +\S/)
  t.equal(long.stdout, short.stdout)
  for (const args of [
    ['help', 'users', 'create'],
    ['users', 'help', 'create'],
  ]) {
    t.match(await latchkey(args), { code: 0, stdout: short.stdout }, args.join(' '))
  }
  t.equal((await latchkey(['help'])).stdout, top.stdout)
  t.match(await latchkey(['help', 'nothing']), { code: 2, stderr: /there is no command "nothing"/ })
})

test('bash completes commands and options with the script of completion bash', async (t) => {
  const { stdout: script } = await latchkey(['completion', 'bash'])
  const complete = (...words: string[]) =>
    execFileSync(
      'bash',
      [
        '-c',
        `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _latchkey; echo "\${COMPREPLY[*]}"`,
        'bash',
        ...words,
      ],
      { encoding: 'utf8' },
    ).trim()
  t.equal(complete('latchkey', 'us'), 'users')
  t.equal(complete('latchkey', 'users', 're'), 'rename reset-password reset-factors')
  t.equal(complete('latchkey', 'users', 'create', 'ada', '--r'), '--role')
  t.equal(complete('latchkey', 'keys', 'generate', '--al'), '--alg')
  t.equal(complete('latchkey', 'completion', '--'), '--json --help')
  for (const shell of ['zsh', 'fish']) t.match((await latchkey(['completion', shell])).stdout, /reset-password/)
  t.match(await latchkey(['completion', 'tcsh']), { code: 2, stderr: /SHELL must be one of bash, zsh, fish/ })
})

test('a command that only looks makes no folder and no database', async (t) => {
  const folder = temporaryFolder(t)
  const env = { DATABASE_URL: `sqlite:${folder}/mistyped/latchkey.db` }
  for (const args of [
    ['users', 'list'],
    ['users', 'disable', 'ada'],
    ['users', 'export', '-'],
    ['clients', 'list'],
    ['clients', 'delete', 'todo'],
    ['issuers', 'list'],
    ['sessions', 'list', 'ada'],
  ]) {
    const ran = await latchkey(args, env)
    t.match(
      ran,
      { code: 1, stdout: '', stderr: /it does not exist \(latchkey migrate makes it\): check DATABASE_URL/ },
      args.join(' '),
    )
  }
  t.strictSame(readdirSync(folder), [])
  t.match(await latchkey(['clients', 'create', 'todo', '--scope', 'introspect'], env), { code: 0 })
  t.match(await latchkey(['clients', 'list', '--json'], env), { code: 0, json: { clients: [{ id: 'todo' }] } })
})

test('a mistake is reported in one line on standard error, with status 1, or 2 for a wrong call, and without a stack trace', async (t) => {
  const env = operatorEnvironment(await environment(t, 'sqlite'))
  t.equal((await latchkey(['migrate'], env)).code, 0)
  for (const [args, said, more] of [
    [['serv'], /there is no command "serv": see latchkey --help/],
    [['users', 'crate'], /there is no command "crate": see latchkey users --help/],
    [['constructor'], /there is no command "constructor"/],
    [['clients', 'create'], /ID is missing: see latchkey clients create --help/],
    [['clients', 'create', 'a', 'b'], /unexpected argument "b": see/],
    [['clients', 'list', '--jason'], /Unknown option '--jason': see latchkey clients list --help/],
    [['clients', 'create', 'a', '--scope'], /'--scope <value>' argument missing/],
    [['issuers', 'add', 'a'], /--issuer is missing: see latchkey issuers add --help/],
    [['sessions', 'revoke', 'ada'], /name one or more SID, or use --all/],
    [['users', 'mfa', 'ada', 'yes'], /write on or off after the account/],
    [['users', 'list'], /DATABASE_URL: write sqlite:PATH.*; REFRESH_TTL: /, { DATABASE_URL: 'x', REFRESH_TTL: 'x' }],
    [['users', 'list'], /cannot open the SQLite database.*check DATABASE_URL/, { DATABASE_URL: 'sqlite:/dev/null/x' }],
    [['migrate'], /ECONNREFUSED.*check DATABASE_URL/, { DATABASE_URL: 'postgres://u:canary@127.0.0.1:1/x' }],
    [['users', 'list'], /Redis does not answer: check REDIS_URL/, { REDIS_URL: 'redis://:canary@127.0.0.1:1' }],
    [['serve'], /the configuration has 2 faults/, { PORT: 'x', MANAGEMENT_PORT: 'y', NODE_ENV: 'test' }],
  ] as [string[], RegExp, Record<string, string>?][]) {
    const run = needsProcess(args) ? latchkeyProcess : latchkey
    const ran = await run(args, { ...env, ...more })
    const isWrongCall = /: see latchkey|there is no command|or use --all|on or off/.test(ran.stderr)
    t.match(ran, { code: isWrongCall ? 2 : 1, stdout: '', stderr: /^latchkey: / }, args.join(' '))
    t.match(ran.stderr, said)
    t.notMatch(ran.stderr, /canary|\n {4}at /, 'no password and no stack')
    if (args[0] !== 'serve') t.equal(ran.stderr.trimEnd().split('\n').length, 1, 'one line')
  }
})

test('with --json an error is one JSON object on standard error, with the same status', async (t) => {
  const env = operatorEnvironment(await environment(t, 'sqlite'))
  t.equal((await latchkey(['migrate'], env)).code, 0)
  for (const [args, code, error, said] of [
    [['users', 'show', 'nobody', '--json'], 1, 'failed', 'there is no account "nobody"'],
    [['users', 'show', '--json'], 2, 'usage', 'USER is missing: see latchkey users show --help'],
    [['users', 'crate', '--json'], 2, 'usage', 'there is no command "crate": see latchkey users --help'],
  ] as const) {
    const { stderr, ...ran } = await latchkey([...args], env)
    t.match(ran, { code, stdout: '' })
    t.strictSame(JSON.parse(stderr), { error, error_description: said })
  }
})

test('serve is the default command; --version prints the version of package.json', async (t) => {
  const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  t.equal((await latchkeyProcess(['--version'])).stdout, `${version}\n`)

  for (const args of [[], ['serve']]) {
    const [port, managementPort] = [await freePort(), await freePort()]
    const env = { ...(await environment(t, 'sqlite')), PORT: String(port), MANAGEMENT_PORT: String(managementPort) }
    const child = spawn(`${root}dist/src/cli/main.js`, args, { env: { PATH: process.env.PATH, ...env } })
    t.teardown(() => child.kill('SIGKILL'))
    let output = ''
    for await (const chunk of child.stdout) {
      output += chunk
      if (output.includes('Latchkey runs at')) break
    }
    t.match(output, `Latchkey runs at http://localhost:${port}`)
    t.equal((await fetch(`http://127.0.0.1:${managementPort}/livez`)).status, 200)
    child.kill('SIGTERM')
    t.strictSame(await once(child, 'exit'), [0, null])
  }
})

test('the program that npm links works with a build, and says in one line how to make one', async (t) => {
  const manifest = readFileSync(`${root}package.json`, 'utf8')
  const { bin, version } = JSON.parse(manifest)
  t.equal(execFileSync(join(root, bin.latchkey), ['--version'], { encoding: 'utf8' }), `${version}\n`)

  // A clone after `npm ci`.
  const clone = temporaryFolder(t)
  writeFileSync(join(clone, 'package.json'), manifest)
  cpSync(join(root, bin.latchkey), join(clone, bin.latchkey))
  const ran = spawnSync(join(clone, bin.latchkey), ['--help'], { encoding: 'utf8' })
  t.match(ran, { status: 1, stdout: '', stderr: 'latchkey: the command line is not built: run npm run build\n' })
})

test('migrate creates the tables, and can run again', async (t) => {
  for (const store of ['sqlite', 'postgres'] as const) {
    const env = operatorEnvironment(await environment(t, store))
    const both = await Promise.all([latchkeyProcess(['migrate'], env), latchkeyProcess(['migrate', '--json'], env)])
    t.match(both, [
      { code: 0, stdout: 'The database is up to date.\n' },
      { code: 0, json: { migrated: true } },
    ])
    const list = await latchkey(['users', 'list', '--json'], env)
    t.equal(list.code, 0)
    t.strictSame(list.json, { users: [], next: null })
  }
})

test('output that is not read to its end is not an error', async (t) => {
  const child = spawn(`${root}dist/src/cli/main.js`, ['--help'], { env: { PATH: process.env.PATH } })
  child.stdout.destroy()
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  t.strictSame(await once(child, 'close'), [0, null])
  t.equal(errors, '')
})
