import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { basicAuthorization } from '../support/api.js'
import { accountStores, PASSWORD, startService } from '../support/service.js'

for (const store of accountStores) {
  test(`${store}: sign-up returns 201 with the account, and the name is then taken`, async (t) => {
    const { api } = await startService(t, store)

    const { status, headers, body } = await api.signUp('Ada', PASSWORD)

    t.equal(status, 201)
    t.equal(headers['content-type'], 'application/json; charset=utf-8')
    t.strictSame(Object.keys(body).sort(), ['created_at', 'id', 'username'])
    t.match(body.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    t.equal(body.username, 'Ada')
    t.ok(Number.isInteger(body.created_at) && Math.abs(body.created_at - Date.now() / 1000) < 10)

    const again = await api.signUp('Ada', 'quite another pass phrase')
    t.match({ status: again.status, error: again.body.error }, { status: 409, error: 'username_taken' })
    t.equal((await api.login('Ada', 'quite another pass phrase')).status, 401)
    t.equal((await api.login('Ada', PASSWORD)).status, 200)
  })

  test(`${store}: one of twenty simultaneous sign-ups for a name creates the account`, async (t) => {
    const { api } = await startService(t, store)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => api.signUp(i % 2 ? 'ada' : 'ADA', `${PASSWORD} ${i}`)),
    )
    t.strictSame(answers.map(({ status }) => status).sort(), [201, ...Array(19).fill(409)])
    const winner = answers.findIndex(({ status }) => status === 201)
    t.equal((await api.login('ada', `${PASSWORD} ${winner}`)).status, 200)
  })

  test(`${store}: while sign-up is closed nobody signs up, and people with an account sign in`, async (t) => {
    const { api, env } = await startService(t, store, { SIGNUP: 'closed' })
    const { status, body } = await api.signUp('ada', PASSWORD)
    t.match({ status, error: body.error }, { status: 404, error: 'not_found' })
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    await withAccounts(env, (users) => users.create({ username: 'ada', password: PASSWORD }))
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: L4: all spellings of a name mean the same account`, async (t) => {
    const { api } = await startService(t, store)
    const { body: ivan } = await api.signUp('ivan', PASSWORD)
    const { body: strasse } = await api.signUp('Straße', PASSWORD)
    const spellings: [string, string][] = [
      ['IVAN', ivan.id],
      ['Ｉｖａｎ', ivan.id],
      ['𝐢𝐯𝐚𝐧', ivan.id],
      ['ⅳan', ivan.id],
      ['İvan', ivan.id],
      ['i\u0307van', ivan.id],
      ['ıvan', ivan.id],
      ['STRASSE', strasse.id],
      ['straße', strasse.id],
    ]
    for (const [name, id] of spellings) {
      t.match(await api.signUp(name, PASSWORD), { status: 409, body: { error: 'username_taken' } }, name)
      const { access_token } = await api.tokens(name, PASSWORD)
      t.match((await api.introspect(access_token)).body, { active: true, sub: id }, `${name} signs in`)
    }
  })

  test(`${store}: L4: a name that could pass for another is 400 at sign-up, and unknown at sign-in`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const names: [string, RegExp][] = [
      ['аda', /scripts/], // Cyrillic а
      ['adα', /scripts/], // Greek α
      ['асе', /looks like Latin/], // all Cyrillic
      ['ο', /looks like Latin/], // Greek omicron
      ['սոօ', /looks like Latin/], // all Armenian
      ['סוס', /looks like Latin/], // Hebrew: olo
      ['٥٥', /looks like Latin/], // Arabic-Indic fives
      ['a〇b', /looks like Latin/], // a Han zero among Latin letters
      ['аррӏе@example.com', /looks like Latin/], // Cyrillic before the @
      ['ɡrace', /Unicode does not recommend/], // a phonetic letter
      ['ᴀdmin', /Unicode does not recommend/], // a small capital
      ['ᎪᎠᎪ', /Unicode does not recommend/], // Cherokee
      ['b०b', /scripts/], // Devanagari zero
      ['ad٥', /scripts/], // Arabic-Indic five
      ['ada\u200b', /invisible/], // zero width space
      ['a\u200dda', /invisible/], // joiner
      ['ada\u034f', /invisible/], // grapheme joiner: a mark
      ['ada\ufe0f', /invisible/], // variation selector: a mark
      ['ada\u3164', /invisible/], // Hangul filler: a letter
      ['ada\u00ad', /invisible/], // soft hyphen
      ['\u202eada', /invisible/], // right-to-left override
      ['ada ', /space/],
      [' ada', /space/],
      ['a da', /space/],
      ['ada\n', /space/],
      ['ada\u0000', /letters/],
      ['<ada>', /letters/],
      ["o'brien", /letters/], // an atom of RFC 5322, but not an address
      ["o'brien@", /letters/],
      ["o'brien@example..com", /letters/],
      ["o'brien@ex'ample.com", /letters/],
      ['"o brien"@example.com', /letters/],
      ['x'.repeat(65), /64/],
      [`${'x'.repeat(64)}@${'y'.repeat(190)}`, /254/],
      ['ﷺ'.repeat(4), /64|space/], // 18 letters each after NFKC
    ]
    for (const [name, rule] of names) {
      const { status, body } = await api.signUp(name, PASSWORD)
      t.match(
        { status, body },
        { status: 400, body: { error: 'invalid_request', error_description: rule } },
        JSON.stringify(name),
      )
      t.equal((await api.login(name, PASSWORD)).status, 401, JSON.stringify(name))
    }
  })

  test(`${store}: L4: a name that looks like an existing name outside ASCII is taken`, async (t) => {
    const { api } = await startService(t, store)
    const twins = [
      ['علي', 'علی'], // Arabic and Persian yeh
      ['φφ', 'фф'], // Greek and Cyrillic
      ['カエ', '力工'], // Katakana and Han
      ['ægir', 'aegir'],
      ["o'hara@example.com", 'oʼhara@example.com'], // an apostrophe that is a letter
      ['Şükrü', 'Șükrü'], // cedilla and comma below
    ] as const
    for (const [i, pair] of twins.entries()) {
      // Either name may come first.
      const [first, second] = i % 2 ? [pair[1], pair[0]] : pair
      t.equal((await api.signUp(first, PASSWORD)).status, 201, first)
      t.match(await api.signUp(second, PASSWORD), { status: 409, body: { error: 'username_taken' } }, second)
      t.equal((await api.login(second, PASSWORD)).status, 401, `${second} is another name`)
    }
    for (const name of ['paul', 'pau1', 'paui', 'modern', 'modem', 'bob', 'b0b']) {
      t.equal((await api.signUp(name, PASSWORD)).status, 201, `${name}: ASCII names are told apart by their letters`)
    }
  })

  test(`${store}: L4: one of two simultaneous sign-ups with look-alike names creates the account`, async (t) => {
    const { api } = await startService(t, store)
    const names = ['علي', 'علی']
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => api.signUp(names[i % 2] as string, PASSWORD)),
    )
    t.strictSame(answers.map(({ status }) => status).sort(), [201, ...Array(9).fill(409)])
  })

  test(`${store}: L4: a name whose capitals make it look Latin is shown in lower case`, async (t) => {
    const { api } = await startService(t, store)
    for (const [written, shown] of [
      ['Μαρία', 'μαρία'],
      ['АННА', 'анна'],
      ['Анна2', 'Анна2'],
    ] as const) {
      t.match(await api.signUp(written, PASSWORD), { status: 201, body: { username: shown } })
      t.equal((await api.login(written, PASSWORD)).status, 200, 'and signs in as it was written')
    }
  })

  test(`${store}: a user name may be an e-mail address: RFC 5322 atoms, up to 254 characters`, async (t) => {
    const { api } = await startService(t, store)
    const addresses = [
      "o'brien@example.com",
      'a+b@example.com',
      "!#$%&'*+-/=?^_`{|}~@example.com",
      'first.last@sub.example.co.uk',
      'мария@example.com',
      'мария@почта.рф',
      `${'x'.repeat(64)}@${'y'.repeat(189)}`,
      `${'名'.repeat(64)}@${'例'.repeat(189)}`,
    ]
    for (const address of addresses) {
      t.match(await api.signUp(address, PASSWORD), { status: 201, body: { username: address } }, address)
      t.equal((await api.signUp(address.toUpperCase(), PASSWORD)).status, 409, 'in any case')
      const { access_token } = await api.tokens(address, PASSWORD)
      t.equal((await api.introspect(access_token)).body.username, address)
    }
    const headers = basicAuthorization(api.client)
    const listed: string[] = []
    for (let query = 'limit=1', next: string | null = ''; next !== null; query = `limit=1&cursor=${next}`) {
      const { body } = await api.call(`/admin/users?${query}`, { headers })
      listed.push(...body.users.map(({ username }: { username: string }) => username))
      next = body.next
    }
    t.strictSame(listed.sort(), [...addresses].sort(), 'a page of accounts may end with any of them')
  })

  test(`${store}: names in all common scripts can have accounts`, async (t) => {
    const { api } = await startService(t, store)
    const names = [
      'Zoë',
      'Мария',
      'Ελένη',
      '山田太郎',
      'ヤマダ',
      '김철수',
      'محمد٥',
      'שרה',
      'सीता१',
      'Анна',
      'Тамара',
      'Оксана',
      'Νίκος',
      'Γιώργος',
      'Արամ',
      'ნინო',
      'รัตนา',
      'ສົມ',
      'សុខ',
      'မောင်',
      'བསོད',
      'አበበ',
      'தமிழ்',
      'రాము',
      'ಕನ್ನಡ',
      'മലയാളം',
      'සිංහල',
      'ગીતા',
      'বাংলা',
      'އަލީ',
      'ㄅㄆ',
      'Nguyễn',
      'Łukasz',
      'Þór',
      'ʻIolani',
      'o.brien+x@example.com',
      '007',
    ]
    for (const name of names) {
      t.equal((await api.signUp(name, PASSWORD)).status, 201, name)
      const { access_token } = await api.tokens(name, PASSWORD)
      t.equal((await api.introspect(access_token)).body.username, name.normalize('NFC'))
    }
  })

  test(`${store}: L6: long passwords, spaces and emoji work, and every character counts`, async (t) => {
    const { api } = await startService(t, store)
    const passwords = {
      sixtyfour: 'correct-horse-battery-staple-'.padEnd(64, 'abcdefghij'),
      onetwoeight: 'tr0ub4dor&3 is a worse one than '.padEnd(128, '0123456789abcdefghijklmnopqrst'),
      longest: 'the longest that is taken '.padEnd(255, 'zyxwvutsrqponmlkjihgfedcba'),
      spaces: '   four  blanks inside   ',
      emoji: '🐴🔋📎✅ horse 👩‍👩‍👧‍👦 staple',
      zero: 'a NUL \u0000 is in the middle',
    }
    for (const [name, password] of Object.entries(passwords)) {
      t.equal((await api.signUp(name, password)).status, 201, name)
      t.equal((await api.login(name, password)).status, 200, name)
      t.equal((await api.login(name, password.slice(0, -1))).status, 401, `${name}, less its last character`)
      t.equal((await api.login(name, ` ${password}`)).status, 401, `${name}, and one more`)
    }
    t.equal((await api.signUp('longer', 'x'.repeat(257))).status, 400)
    t.equal((await api.login('spaces', passwords.spaces.trim())).status, 401, 'nothing is trimmed')
    t.equal((await api.login('zero', 'a NUL ')).status, 401, 'nothing ends at a NUL')
  })

  test(`${store}: L7: composed and decomposed letters are the same name and the same password`, async (t) => {
    const { api } = await startService(t, store)
    const name = 'Zoë.Núñez'
    const password = 'crème brûlée à la carte'
    const { body } = await api.signUp(name.normalize('NFD'), password.normalize('NFC'))
    t.equal(body.username, name.normalize('NFC'))
    t.equal((await api.signUp(name.normalize('NFC'), password)).status, 409)
    for (const form of ['NFC', 'NFD']) {
      const { access_token } = await api.tokens(name.normalize(form), password.normalize(form))
      t.equal((await api.introspect(access_token)).body.sub, body.id, form)
    }
    t.equal((await api.login(name, 'creme brulee a la carte')).status, 401)
  })

  test(`${store}: L8: a password that is too short, too common or the name is 400 with the rule`, async (t) => {
    const { api } = await startService(t, store, { PASSWORD_MIN_LENGTH: '8' })
    const broken: [string, RegExp][] = [
      ['1234567', /too short: use 8 characters/],
      ['🐴🔋📎✅🐴🔋📎', /too short: use 8 characters/],
      ['e\u0301'.repeat(7), /too short: use 8 characters/],
      ['password1', /very common/],
      ['PassWord1', /very common/],
      ['passwordpassword', /repeats itself/],
      ['27112026', /made of dates/],
      ['abababababababab', /repeats itself/],
      ['aaaaaaaaaaaaaaaaaaaa', /repeats itself/],
      ['Ada.Lovelace', /is the user name/],
      ['ADA.LOVELACE', /is the user name/],
    ]
    for (const [password, rule] of broken) {
      const { status, body } = await api.signUp('ada.lovelace', password)
      t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: rule } }, password)
      t.notMatch(body.error_description, password, 'and does not repeat it')
    }
    t.equal((await api.signUp('ada.lovelace', 'kxqwpvzj')).status, 201, 'no kinds of characters are asked for')
  })
}
