// Where the server is, for the programs beside this one.
export const port = Number(process.env.PORT)
export const db = Number(process.env.DB)
export const url = `redis://127.0.0.1:${port}/${db}`
export const pause = (ms) => new Promise((done) => setTimeout(done, ms))
