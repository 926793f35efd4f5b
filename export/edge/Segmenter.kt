import android.content.Context
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

/** model_uint8.tflite of a bundle on a picture of any size. Assets: model_uint8.tflite and bundle.json. */
class Segmenter(context: Context, threads: Int = 2) : AutoCloseable {
    private val about = JSONObject(context.assets.open("bundle.json").bufferedReader().readText())
    private val channels = about.getInt("channels")
    private val tile = about.getInt("tile") // side of the input
    private val output = about.getInt("output") // side of the outputs
    private val step = about.getInt("step") // pixels of the picture that a tile gives
    private val halo = about.getInt("halo") // pixels that it reads before them
    private val margin = about.getInt("margin") // pixels of its outputs before them
    private val classes = about.getJSONArray("classes").length()

    private val interpreter =
        context.assets.open("model_uint8.tflite").readBytes().let { bytes ->
            val model = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes)
            Interpreter(model, Interpreter.Options().setNumThreads(threads))
        }
    private val image = ByteBuffer.allocateDirect(tile * tile * channels)
    private val mask = ByteBuffer.allocateDirect(output * output)
    private val probabilities = ByteBuffer.allocateDirect(output * output * classes)

    /** Class ids of 8-bit pixels, row by row, grey or R G B. */
    fun segment(pixels: ByteArray, height: Int, width: Int): ByteArray {
        val labels = ByteArray(height * width)
        for (top in 0 until height step step) {
            for (left in 0 until width step step) {
                image.rewind()
                for (row in 0 until tile) {
                    val y = mirrored(top - halo + row, height)
                    for (column in 0 until tile) {
                        val pixel = y * width + mirrored(left - halo + column, width)
                        image.put(pixels, pixel * channels, channels)
                    }
                }
                image.rewind()
                mask.rewind()
                probabilities.rewind()
                interpreter.runSignature(
                    mapOf<String, Any>("image" to image),
                    mapOf<String, Any>("mask" to mask, "probabilities" to probabilities),
                    "serving_default",
                )
                val columns = minOf(step, width - left)
                for (row in 0 until minOf(step, height - top)) {
                    mask.position((margin + row) * output + margin)
                    mask.get(labels, (top + row) * width + left, columns)
                }
            }
        }
        return labels
    }

    /** Index into an axis of `size` pixels, mirrored outside of it without its edge twice: 3 2 1 | 0 1 2 3 | 2 1 0. */
    private fun mirrored(position: Int, size: Int): Int {
        val period = maxOf(1, 2 * (size - 1))
        val index = Math.floorMod(position, period)
        return minOf(index, period - index)
    }

    override fun close() = interpreter.close()
}
