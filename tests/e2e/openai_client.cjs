// What a program does with npm's `openai`: prints what it got as one JSON object.
// usage: node openai_client.cjs BASE_URL KEY MODEL
const OpenAI = require("openai");

const [baseURL, apiKey, model] = process.argv.slice(2);
const ask = {
  model,
  messages: [
    { role: "system", content: "You are a helpful assistant." },
    { role: "user", content: "What is the capital of France?" },
  ],
  temperature: 0,
  max_tokens: 16,
};

async function whole(client) {
  const answer = await client.chat.completions.create(ask);
  return { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason, usage: answer.usage };
}

async function streamed(client) {
  const stream = await client.chat.completions.create({
    ...ask, stream: true, stream_options: { include_usage: true },
  });
  const got = { text: "", chunks: 0, finish: null, usage: null };
  for await (const chunk of stream) {
    got.chunks += 1;
    got.text += chunk.choices[0]?.delta?.content ?? "";
    got.finish = chunk.choices[0]?.finish_reason ?? got.finish;
    got.usage = chunk.usage ?? got.usage;
  }
  return got;
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, type: error.type, code: error.code };
  }
  return null;
}

async function main() {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const stranger = new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 });
  const models = [];
  for await (const one of client.models.list()) models.push(one.id);
  console.log(JSON.stringify({
    models,
    whole: await whole(client),
    streamed: await streamed(client),
    wrongKey: await failure(() => stranger.chat.completions.create(ask)),
    wrongModel: await failure(() => client.chat.completions.create({ ...ask, model: "other" })),
    wrongValue: await failure(() => client.chat.completions.create({ ...ask, temperature: 3 })),
  }));
}

main();
